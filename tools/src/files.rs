//! Files of the person at the command line: the one place of the tools that opens, reads and writes them.
//!
//! Data directories are not touched here; they go through the disk seam of `storage`.

#![allow(clippy::disallowed_methods, reason = "this file owns the command line's access to files")]

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::exit::{Exit, Failure};

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<impl Read + Send + 'static, Failure> {
    fs::File::open(path).map_err(|error| failed("read", path, &error))
}

/// Reads a whole text file.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| failed("read", path, &error))
}

/// Writes a whole file.
pub fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| failed("write", path, &error))
}

/// Opens a file to write behind what it holds.
pub fn append(path: &Path) -> Result<fs::File, Failure> {
    let opened = fs::OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| failed("write", path, &error))
}

/// Makes a directory and those above it.
pub fn make_dir(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| failed("make", path, &error))
}

/// Removes a file if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory with all that is in it.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    Failure::new(exit, format!("cannot {action} {}: {error}", path.display()))
}
