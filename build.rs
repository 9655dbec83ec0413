//! Compresses the files of the built-in page, which are stored in the program as browsers get them.
#![allow(clippy::expect_used, reason = "a failure here fails the build, with a message")]

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};

const PAGE: &str = "src/web/page";

fn main() {
    println!("cargo:rerun-if-changed={PAGE}");
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for entry in fs::read_dir(PAGE).expect("src/web/page is a directory") {
        let file = entry.expect("src/web/page can be read").path();
        compress(&file, &target);
    }
}

/// Writes `NAME.gz`, which depends on nothing but the content: no name and no time.
fn compress(file: &Path, directory: &Path) {
    let text = fs::read(file).expect("a file of the page can be read");
    let name = file.file_name().expect("a file has a name").to_string_lossy();
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(&text).expect("memory can be written");
    let compressed = encoder.finish().expect("memory can be written");
    fs::write(directory.join(format!("{name}.gz")), compressed).expect("OUT_DIR can be written");
}
