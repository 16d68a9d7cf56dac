//! Where a stable name is needed, a generic task has none.
#[procpool::task]
fn same<T>(x: T) -> T {
    x
}

#[procpool::task]
fn one() -> u8 {
    1
}

fn main() {
    procpool::__private::assert_named(&one {});
    procpool::__private::assert_named(&same { x: 1u8 });
}
