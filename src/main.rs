//! The command line of Viaduct; everything else is the library.

fn main() {}
