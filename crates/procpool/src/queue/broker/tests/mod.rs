//! The broker under test.
