//! Memory that a worker is to map.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::parent::{Options, Parent, decode};
use crate::Blob;
use crate::queue::travel;
use crate::sys::socket;
use crate::task::attachment::{self, Attachment, Content};
use crate::task::{map_parts, store};
use crate::wire::frame::{Fragments, Kind};
use crate::wire::memory::MemoryBody;
use crate::wire::message::{ReplyBody, task_head};

const LEN: usize = 100_000;

fn length(blob: Blob) -> usize {
    assert!(blob.iter().all(|byte| *byte == 7));
    blob.len()
}

/// Tells a worker of the blob's memory, with this body and this descriptor, if any, and then has it taken.
fn take(parent: &mut Parent, blob: &Blob, body: &MemoryBody, file: Option<BorrowedFd<'_>>) -> ReplyBody {
    let parts = map_parts(length, blob.clone());
    let offer = parent.offer();
    let mut task = task_head(&parts.entry.to_wire().unwrap().into(), 1, offer.0 + 1000, "test");
    let (_handles, named) = (travel::naming(), attachment::naming());
    parts.arguments.encode(&mut task).unwrap();
    let key = named.attachments()[0].key();
    let body = body.encode();
    let (prefix, _) = Fragments::new(Kind::Memory, key, body.len(), 0).next().unwrap();
    let slices = [IoSlice::new(&prefix), IoSlice::new(&body)];
    match file {
        Some(file) => socket::send_with_fd(parent.socket(), &slices, file).unwrap(),
        None => socket::send(parent.socket(), &slices).unwrap(),
    };
    parent.send(Kind::Task, offer.0, &task);
    let reply = parent.reply(offer);
    parent.send(Kind::Forget, key, b"");
    reply
}

/// The bytes that name it, and what they name.
fn encode(blob: &Blob) -> (Vec<u8>, Arc<Attachment>) {
    let (_handles, named) = (travel::naming(), attachment::naming());
    let bytes = postcard::to_stdvec(blob).unwrap();
    (bytes, named.attachments().remove(0))
}

fn with_file<R>(blob: &Blob, then: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
    let (_, attachment) = encode(blob);
    let Content::Sealed(memory) = attachment.content() else { panic!("it is small") };
    then(memory.file().unwrap())
}

#[test]
fn a_worker_maps_what_cannot_change_and_refuses_the_rest_by_name() {
    let mut parent = Parent::ready(Options::default());
    let blob = Blob::copy_from([7; LEN]).unwrap();
    let good = |parent: &mut Parent| {
        let reply = with_file(&blob, |file| take(parent, &blob, &MemoryBody::Comes(LEN as u64), Some(file)));
        let ReplyBody::Value(value) = reply else { panic!("{reply:?}") };
        assert_eq!(decode::<usize>(&value), LEN);
    };
    good(&mut parent);
    let refused = |reply: ReplyBody, why: &str| match reply {
        ReplyBody::Undecodable(text) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    };
    let loose = crate::sys::memory::SharedWords::create(LEN / 8).unwrap().1;
    let reply = take(&mut parent, &blob, &MemoryBody::Comes(LEN as u64), Some(loose.as_fd()));
    refused(reply, "its memory is not sealed");
    let reply = with_file(&blob, |file| take(&mut parent, &blob, &MemoryBody::Comes(LEN as u64 + 1), Some(file)));
    refused(reply, "100000 bytes, and not 100001");
    let null = std::fs::File::open("/dev/null").unwrap();
    refused(take(&mut parent, &blob, &MemoryBody::Comes(LEN as u64), Some(null.as_fd())), "not one of a memory file");
    refused(take(&mut parent, &blob, &MemoryBody::Lost("it got lost".into()), None), "it got lost");
    good(&mut parent);
}

#[test]
fn what_a_worker_says_that_a_blob_is_is_not_looked_up_here() {
    let blob = Blob::copy_from([7; LEN]).unwrap();
    let (named, attachment) = encode(&blob);
    // As in a worker that is itself a parent: it has blobs, and its own workers know their keys.
    store::put(attachment.key(), attachment.content().clone());
    let error = travel::decoding(|| postcard::from_bytes::<Blob>(&named)).err();
    assert!(error.is_some(), "no arguments are being decoded");
    store::clear();
}
