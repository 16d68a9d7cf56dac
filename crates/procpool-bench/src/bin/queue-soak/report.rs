//! The account for people.

use crate::account::Account;
use crate::options::Options;
use crate::run::{History, Role};

/// Prints what happened; whether all is as it was promised.
pub(crate) fn print(options: &Options, history: &History, account: &Account) -> bool {
    let killed = |role| history.killed(role);
    let (producers, plain, acked) = (killed(Role::Producer), killed(Role::Consumer), killed(Role::Acknowledging));
    let seconds = history.took.as_secs_f64();
    let line = |count: u64, what: &str| println!("{count:>12}  {what}");
    line(account.confirmed, "confirmed: send returned");
    let unconfirmed = account.unconfirmed;
    line(
        account.arrived_unconfirmed,
        &format!("arrived unconfirmed, of {unconfirmed} whose producer was killed in send"),
    );
    line(account.received, "received: a consumer wrote it down");
    line(account.in_hand, &format!("in hand at death, of {plain} consumers that were killed and do not acknowledge"));
    line(account.redelivered, "redelivered: received again, for its holder was killed before it acknowledged");
    line(account.although_acknowledged, "of these although it had: it was killed before the broker knew");
    line(account.marked, "marked as redelivered, also where the dead holder had not got to writing it down");
    line(account.out_of_order, "behind a later one of their producer: they had been returned");
    line(account.lost, "lost");
    line(account.duplicated, "duplicated");
    println!("killed: {producers} producers, {plain} consumers, {acked} consumers that acknowledge");
    println!("{seconds:.1} s, {:.0} messages a second, seed {}", account.confirmed as f64 / seconds, options.seed);
    let complaints = account.complaints(options.messages, producers, plain);
    for complaint in &complaints {
        println!("WRONG: {complaint}");
    }
    if complaints.is_empty() {
        let Account { confirmed, arrived_unconfirmed, received, in_hand, .. } = account;
        println!("{confirmed} confirmed + {arrived_unconfirmed} unconfirmed = {received} received + {in_hand} in hand");
        println!("the numbers add up: nothing lost, nothing duplicated");
    }
    complaints.is_empty()
}
