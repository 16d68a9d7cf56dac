//! The handles of queues and links in all their forms: sinks, streams, iterators, permits, guards, ends.

use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt, stream};
use procpool::channel::{self, Duplex};
use procpool::queue::{
    self, AckError, Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError,
};
use procpool::{AnyError, Json, Pool, call};
use procpool_tests::test;

async fn sink_and_stream() {
    let (sender, mut receiver) = queue::bounded::<u32>(4);
    let mut sink = sender.clone();
    drop(sender);
    let sending = async {
        sink.send_all(&mut stream::iter(0..100).map(Ok)).await.unwrap();
        drop(sink);
    };
    let receiving = async {
        let mut seen = Vec::new();
        while let Some(item) = receiver.next().await {
            seen.push(item.unwrap());
        }
        seen
    };
    let ((), seen) = futures::join!(sending, receiving);
    assert!(seen.into_iter().eq(0..100));
    assert!(receiver.next().await.is_none(), "the end stays");
}

test! {
    queues async fn a_sender_is_a_sink_and_a_receiver_a_stream() {
        sink_and_stream().await;
    }
}

async fn stream_then_recv() {
    let (sender, mut receiver) = queue::bounded::<u32>(4);
    assert!(receiver.next().now_or_never().is_none());
    sender.send(1).await.unwrap();
    // The stream was first in line, and is not polled any more.
    assert_eq!(receiver.recv().await.unwrap(), 1);
    sender.send(2).await.unwrap();
    assert_eq!(receiver.next().await.unwrap().unwrap(), 2);
}

test! {
    queues async fn who_streamed_may_receive_in_another_way() {
        stream_then_recv().await;
    }
}

async fn acknowledged_in_all_ways() {
    let (sender, receiver) = queue::bounded::<u32>(4);
    assert!(matches!(receiver.try_recv_acked(), Err(TryRecvError::Empty)));
    let timed_out = receiver.recv_acked_timeout_blocking(Duration::from_millis(1));
    assert!(matches!(timed_out, Err(RecvTimeoutError::TimedOut)));
    sender.send(1).await.unwrap();
    drop(receiver.try_recv_acked().unwrap());
    let mut again = receiver.recv_acked_timeout_blocking(Duration::from_secs(60)).unwrap();
    assert_eq!((*again, again.redelivered()), (1, 1));
    again.ack().unwrap();
    receiver.join().await.unwrap();
    drop(sender);
    assert!(matches!(receiver.try_recv_acked(), Err(TryRecvError::Disconnected)));
    let ended = receiver.recv_acked_timeout_blocking(Duration::from_secs(60));
    assert!(matches!(ended, Err(RecvTimeoutError::Disconnected)));
}

test! {
    queues async fn messages_are_taken_to_be_acknowledged_in_all_ways() {
        acknowledged_in_all_ways().await;
    }
}

async fn permits() {
    let (sender, receiver) = queue::bounded::<u32>(1);
    let permit = sender.reserve().await.unwrap();
    assert!(matches!(sender.try_send(2), Err(TrySendError::Full(2))));
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    permit.send(1).await.unwrap();
    assert_eq!(receiver.recv().await.unwrap(), 1);
    drop(sender.reserve().await.unwrap());
    sender.try_send(3).unwrap();
    assert!(sender.reserve().now_or_never().is_none());
    assert_eq!(receiver.recv().await.unwrap(), 3);
    sender.close();
    assert!(matches!(sender.reserve().await, Err(SendError::Closed(()))));
}

test! {
    queues async fn a_permit_holds_room() {
        permits().await;
    }
}

async fn guards() {
    let (sender, receiver) = queue::bounded::<u32>(2);
    sender.send(7).await.unwrap();
    let delivery = receiver.recv_acked().await.unwrap().ack_on_drop();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let delivery = delivery;
        std::panic::resume_unwind(Box::new(*delivery));
    }));
    assert_eq!(*panicked.unwrap_err().downcast::<u32>().unwrap(), 7);
    {
        let again = receiver.recv_acked().await.unwrap().ack_on_drop();
        assert_eq!((*again, again.redelivered()), (7, 1));
    }
    sender.join().await.unwrap();
    sender.send(8).await.unwrap();
    let mut delivery = receiver.recv_acked().await.unwrap();
    delivery.ack().unwrap();
    assert_eq!(delivery.nack(), Err(AckError::AlreadyAcknowledged));
}

test! {
    queues async fn a_guard_acknowledges_unless_its_holder_panics() {
        guards().await;
    }
}

/// What one process may say at once has limits, which must not be found by being cut off.
async fn very_many() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (answer, answers) = queue::bounded::<u32>(1);
    let (sender, receiver) = queue::bounded::<Vec<Sender<u32>>>(1);
    sender.send(vec![answer.clone(); 10_000]).await.unwrap();
    let handles = receiver.recv().await.unwrap();
    handles[9_999].send(7).await.unwrap();
    assert_eq!(answers.recv().await.unwrap(), 7);
    drop(handles);
    let handles = pool.run(call!(give_many(answer))).await.unwrap();
    handles[9_999].send(8).await.unwrap();
    assert_eq!(answers.recv().await.unwrap(), 8);
    drop(handles);
    assert!(matches!(answers.recv().await, Err(RecvError::Disconnected)));

    sender.send(Vec::new()).await.unwrap();
    let mut joins: Vec<_> = (0..5_000).map(|_| sender.join()).collect();
    let refused = joins.iter_mut().filter_map(|join| join.now_or_never()).filter_map(Result::err).count();
    assert!(refused > 0, "so many wait at a time");
    assert_eq!(receiver.recv().await.unwrap().len(), 0);
    drop(joins);
    sender.join().await.unwrap();
    pool.shutdown().await.unwrap();
}

fn give_many(answer: Sender<u32>) -> Vec<Sender<u32>> {
    vec![answer; 10_000]
}

test! {
    queues async fn as_many_handles_in_a_message_as_one_likes_and_too_many_questions_are_refused() {
        very_many().await;
    }
}

async fn wrong_places() {
    let (sender, receiver) = queue::bounded::<u32>(2);
    let (outer, _outer) = queue::bounded::<Json<Sender<u32>>>(2);
    let error = outer.send(Json(sender.clone())).await.unwrap_err();
    assert!(matches!(error, SendError::Encode { .. }), "{error}");
    assert!(error.to_string().contains("nowhere else"), "{error}");
    assert!(error.into_inner().0.same_queue(&sender));
    assert_eq!((sender.len().await.unwrap(), sender.is_disconnected()), (0, false));
    drop((sender, outer));
    assert!(matches!(receiver.recv().await, Err(RecvError::Disconnected)), "none was kept");
}

test! {
    queues async fn a_handle_travels_nowhere_else() {
        wrong_places().await;
    }
}

fn lengths(link: Duplex<usize, String>) -> Result<(), AnyError> {
    loop {
        match link.recv_blocking() {
            Ok(word) => link.send_blocking(word.len())?,
            Err(RecvError::Disconnected) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn links() {
    let (link, theirs) = channel::duplex::<String, usize>();
    let pool = Pool::builder().workers(1).build().unwrap();
    let task = pool.spawn(call!(lengths(theirs)));
    for word in ["", "a", "seven"] {
        link.send(word.to_owned()).await.unwrap();
        assert_eq!(link.recv().await.unwrap(), word.len());
    }
    assert!(matches!(link.try_recv(), Err(TryRecvError::Empty)));
    drop(link);
    task.await.unwrap().unwrap();
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_link_has_two_ends() {
        links().await;
    }
}

fn echo(requests: Receiver<(u32, Sender<u32>)>) {
    for request in &requests {
        let (number, answers) = request.unwrap();
        answers.send_timeout_blocking(number + 1, Duration::MAX).unwrap();
    }
}

async fn on_threads() {
    let pool = Pool::in_process().unwrap();
    let (requests, theirs) = queue::bounded(2);
    let task = pool.spawn(call!(echo(theirs)));
    let (answers, receiver) = queue::bounded(2);
    requests.send((1, answers)).await.unwrap();
    assert_eq!(receiver.recv().await.unwrap(), 2);
    assert!(matches!(receiver.recv().await, Err(RecvError::Disconnected)));
    drop(requests);
    task.await.unwrap();
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn handles_travel_to_workers_that_are_threads() {
        on_threads().await;
    }
}
