//! What `#[procpool::main]` cannot start.
mod plain {
    #[procpool::main]
    fn main() {}
}

mod arguments {
    #[procpool::main]
    async fn main(x: u8) {}
}

mod generic {
    #[procpool::main]
    async fn main<T>() {}
}

mod option {
    #[procpool::main(flavour = "sweet")]
    async fn main() {}
}

fn main() {}
