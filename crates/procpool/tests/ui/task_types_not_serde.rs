//! A task's arguments and its result travel.
struct Opaque;

#[procpool::task]
fn takes(opaque: Opaque) {
    drop(opaque);
}

#[procpool::task]
fn makes() -> Opaque {
    Opaque
}

#[procpool::task]
fn fails() -> Result<u8, std::io::Error> {
    Ok(1)
}

fn main() {}
