//! This process's handles, and its way to the queues: one implementation for every process.

mod api;

pub(crate) use crate::queue::broker::api::Question;
pub(crate) use api::{
    Asking, Broken, Client, Encoded, Ended, Introduced, Parcel, ParcelKey, Place, Received, Receiving, Refused,
    Reserving, Sending, Side, Taking, client, set_socket, settle_if_open,
};
