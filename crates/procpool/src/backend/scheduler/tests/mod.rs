//! The scheduler under test: by name, and by chance.
