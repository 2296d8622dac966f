//! The book in `docs/`: what it shows is what a test knows.
//!
//! | file | what it does |
//! |---|---|
//! | `book` | reads pages, blocks, includes and links |
//! | `blocks` | every block is included from a file that is checked |
//! | `links` | every page is in the summary, every link leads somewhere |
//! | `commands` | every command line is one that the binary takes |
//! | `snippets` | the book's Rust, compiled and run |

mod autoplay;
mod blocks;
mod book;
mod commands;
mod links;
mod snippets;
