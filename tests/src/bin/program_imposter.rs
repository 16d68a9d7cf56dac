//! A program that says hello as another version of procpool would. It knows the part of the protocol that stays.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// A number as postcard writes it.
fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn main() {
    let mut hello = Vec::new();
    number(u64::from_le_bytes(*b"procpool"), &mut hello);
    number(99, &mut hello);
    hello.extend(b"what only version 99 understands");
    let mut frame = vec![16, 3, 0, 0];
    frame.extend((hello.len() as u32).to_le_bytes());
    frame.extend(0u64.to_le_bytes());
    frame.extend(hello);
    let Ok(stdin) = std::io::stdin().as_fd().try_clone_to_owned() else { return };
    let mut socket = UnixStream::from(stdin);
    if socket.write_all(&frame).is_ok() {
        // Until the parent has had enough.
        drop(socket.read_to_end(&mut Vec::new()));
    }
}
