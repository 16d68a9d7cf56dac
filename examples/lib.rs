//! Small programs, one subject each: see the README.
