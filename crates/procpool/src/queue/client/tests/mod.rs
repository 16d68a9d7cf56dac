//! The client, against a hub that is played.
