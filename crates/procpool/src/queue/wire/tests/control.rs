use bytes::Bytes;
use proptest::prelude::*;

use crate::queue::broker::api::{Named, Question};
use crate::queue::key::{Key, QueueId, Role, Shape};
use crate::queue::wire::{Cuts, Flags, Header, Kind, MAX_FRAGMENT, ToClient, ToHub, encode_handles};

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Sender), Just(Role::Receiver)]
}

fn named() -> impl Strategy<Value = Named> {
    (any::<u64>(), role(), any::<u128>()).prop_map(|(queue, role, key)| Named {
        queue: QueueId(queue),
        role,
        key: Key(key),
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    (1..=u32::MAX, proptest::option::of(1..=u64::MAX), any::<u64>()).prop_map(|(capacity, bytes, max_message)| Shape {
        capacity,
        bytes,
        max_message,
    })
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![
        Just(Question::Len),
        Just(Question::Join),
        any::<u64>().prop_map(|bytes| Question::Room { bytes }),
        Just(Question::Message),
    ]
}

/// Everything that fits one record for certain.
fn small() -> impl Strategy<Value = ToHub> {
    let (slot, number) = (0..4096u32, any::<u32>());
    let key = any::<u128>().prop_map(Key);
    prop_oneof![
        Just(ToHub::Open),
        Just(ToHub::Bell),
        (slot.clone(), any::<u64>(), shape(), key.clone(), key.clone()).prop_map(
            |(slot, queue, shape, sender_key, receiver_key)| ToHub::Create {
                slot,
                queue: QueueId(queue),
                shape,
                sender_key,
                receiver_key
            }
        ),
        (slot.clone(), named()).prop_map(|(slot, Named { queue, role, key })| ToHub::Attach { slot, queue, role, key }),
        (slot.clone(), role()).prop_map(|(slot, role)| ToHub::Detach { slot, role }),
        slot.clone().prop_map(|slot| ToHub::Look { slot }),
        (slot.clone(), number).prop_map(|(slot, delivery)| ToHub::Ack { slot, delivery }),
        (slot.clone(), number).prop_map(|(slot, delivery)| ToHub::Nack { slot, delivery }),
        (slot.clone(), number).prop_map(|(slot, delivery)| ToHub::Opened { slot, delivery }),
        slot.clone().prop_map(|slot| ToHub::Close { slot }),
        (slot, number, question()).prop_map(|(slot, request, question)| ToHub::Ask { slot, request, question }),
        number.prop_map(|request| ToHub::Unask { request }),
        key.clone().prop_map(|parcel| ToHub::Adopt { parcel }),
        key.prop_map(|parcel| ToHub::Unpark { parcel }),
        number.prop_map(|number| ToHub::Introduce { number }),
        number.prop_map(|number| ToHub::Buried { number }),
    ]
}

proptest! {
    #[test]
    fn what_a_client_says_is_understood(message in small()) {
        let (header, body) = message.encode().unwrap();
        let (read, len) = Header::decode(&header.encode(body.len() as u32)).unwrap();
        prop_assert_eq!((read, len as usize), (header, body.len()));
        prop_assert!(header.kind.is_to_hub());
        prop_assert_eq!(ToHub::decode(&read, Bytes::copy_from_slice(&body)).unwrap(), message);
        // Nothing may be missing, and nothing may follow.
        if !body.is_empty() {
            prop_assert!(ToHub::decode(&read, Bytes::copy_from_slice(&body[..body.len() - 1])).is_err());
        }
        let longer: Vec<u8> = body.iter().copied().chain([0]).collect();
        prop_assert!(ToHub::decode(&read, Bytes::from(longer)).is_err());
    }

    #[test]
    fn handles_go_before_a_message_and_into_a_parcel(
        handles in proptest::collection::vec(named(), 0..9),
        payload: Vec<u8>,
        parcel: u128,
        slot in 0..4096u32,
    ) {
        let table = encode_handles(&handles);
        let mut header = Header::whole(Kind::Send, slot, 5);
        header.flags = header.flags | Flags::HANDLES;
        let body: Bytes = table.iter().chain(&payload).copied().collect();
        let send = ToHub::Send { slot, handles: handles.clone(), body: payload.clone().into() };
        prop_assert_eq!(ToHub::decode(&header, body).unwrap(), send);
        let plain = ToHub::Send { slot, handles: Vec::new(), body: payload.clone().into() };
        prop_assert_eq!(ToHub::decode(&Header::whole(Kind::Send, slot, 5), payload.into()).unwrap(), plain);
        let body: Bytes = parcel.to_le_bytes().into_iter().chain(table).collect();
        let park = ToHub::Park { parcel: Key(parcel), handles };
        prop_assert_eq!(ToHub::decode(&Header::whole(Kind::Park, 0, 0), body).unwrap(), park);
    }

    #[test]
    fn what_the_hub_says_is_understood(
        slot in 0..4096u32,
        number: u32,
        redelivered: u32,
        handles: bool,
        value: u64,
        payload: Vec<u8>,
    ) {
        let (header, prefix) = ToClient::delivery(slot, number, redelivered, handles);
        let cut = Cuts::new(header, prefix.len(), payload.len()).current().unwrap();
        let body: Bytes = cut.parts(&prefix, &payload).concat().into();
        let expected = ToClient::Deliver { slot, delivery: number, redelivered, handles, body: payload.into() };
        prop_assert_eq!(ToClient::decode(&cut.header, body).unwrap(), expected);
        let (header, body) = ToClient::answer(number, value);
        let answer = ToClient::decode(&header, Bytes::copy_from_slice(&body)).unwrap();
        prop_assert_eq!(answer, ToClient::Answer { request: number, value });
        prop_assert_eq!(ToClient::decode(&ToClient::freed(slot), Bytes::new()).unwrap(), ToClient::Freed { slot });
    }

    #[test]
    fn any_body_is_a_message_or_an_error(kind in 0..40u8, flags: u8, slot: u32, number: u32, body: Vec<u8>) {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
        (bytes[4], bytes[5]) = (kind, flags);
        bytes[8..12].copy_from_slice(&slot.to_le_bytes());
        bytes[12..].copy_from_slice(&number.to_le_bytes());
        if let Ok((header, len)) = Header::decode(&bytes) {
            prop_assert!(slot < 4096 && len as usize <= MAX_FRAGMENT);
            prop_assert_eq!(header.encode(len), bytes);
            let to_hub = ToHub::decode(&header, body.clone().into());
            let to_client = ToClient::decode(&header, body.into());
            prop_assert!(to_hub.is_err() || to_client.is_err());
        }
    }
}

#[test]
fn a_table_of_handles_sets_no_memory_aside_that_it_does_not_fill() {
    let mut header = Header::whole(Kind::Send, 0, 0);
    header.flags = header.flags | Flags::HANDLES;
    assert!(ToHub::decode(&header, Bytes::from_static(&[0xff; 60])).is_err());
}

#[test]
fn a_queue_that_holds_nothing_is_refused() {
    for (capacity, bytes) in [(0, None), (1, Some(0))] {
        let shape = Shape { capacity, bytes, max_message: 9 };
        let create = ToHub::Create { slot: 1, queue: QueueId(1), shape, sender_key: Key(1), receiver_key: Key(2) };
        let (header, body) = create.encode().unwrap();
        assert!(ToHub::decode(&header, Bytes::copy_from_slice(&body)).is_err());
    }
}
