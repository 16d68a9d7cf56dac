//! A hub that is played by the test.
