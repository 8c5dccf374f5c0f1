//! Does `extract` show what it recognised, name what ended a reader, and leave none behind?

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    damage::{file, stream_of},
    fixtures::{path, processes_of},
    readers::{BINARY, until},
};

#[test]
fn a_killed_extract_leaves_no_reader_behind() {
    let folder = tempfile::tempdir().unwrap();
    let worker = folder.path().join("worker-of-extract");
    fs::copy(BINARY, &worker).unwrap();
    let busy = folder.path().join("busy.pdf");
    fs::write(&busy, file(&[stream_of("", "0 0 m 9 9 l S ".repeat(4_000_000).as_bytes())])).unwrap();
    let mut extract = Command::new(BINARY)
        .args(["extract", "--type", "orders"])
        .arg(&busy)
        .env("LOCKSTEP__SANDBOX__WORKER", &worker)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the reader", || processes_of(&worker) == 1);
    extract.kill().unwrap();
    extract.wait().unwrap();
    until("its end", || processes_of(&worker) == 0);
}

#[test]
fn extract_explains_and_draws_what_it_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let pdf = path("edge/customers-page-lost.pdf");
    let output = Command::new(BINARY)
        .args(["extract", "--type", "customers", "--explain", "--svg"])
        .arg(folder.path().join("pages"))
        .arg(&pdf)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8(output.stdout).unwrap();
    for part in ["page 1: 612 x 792 pt", "columns, parted by ruling lines", "ID", "header row from", "rows, parted by"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(String::from_utf8(output.stderr).unwrap().contains("incomplete_cycle"));
    let drawn = fs::read_to_string(folder.path().join("pages/page-0001.svg")).unwrap();
    assert!(drawn.starts_with("<svg ") && drawn.contains("<rect ") && drawn.contains(">SDI:</text>"), "{drawn}");
}

#[test]
fn extract_explains_which_rows_are_no_records() {
    for (file, sync_type, said, text) in [
        ("header-repeated-mid-page", "customers", "the header, printed again", "ID | "),
        ("group-rows", "orders", "a caption or note", "STATO: gruppo 1"),
        ("total-it-ruled", "orders", "totals", "Totale"),
    ] {
        let pdf = path(&format!("../shapes/{file}.pdf"));
        let output = Command::new(BINARY).args(["extract", "--type", sync_type, "--explain"]).arg(&pdf).output();
        let explained = String::from_utf8(output.unwrap().stdout).unwrap();
        let row = explained.lines().find(|line| line.contains(&format!("({said}) ")));
        assert!(row.is_some_and(|row| row.contains(text)), "{file}: {said} in {explained}");
        let records = explained.lines().filter(|line| line.contains(" to ") && line.contains(" | "));
        assert!(records.filter(|line| !line.contains('(')).count() > 5, "{file}: most rows are records");
    }
}

#[test]
fn a_hostile_file_makes_extract_exit_4_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = folder.path().join("bomb.pdf");
    fs::write(&bomb, file(&[stream_of("", "q ".repeat(1_000_000).as_bytes())])).unwrap();
    let output = Command::new(BINARY).args(["extract", "--type", "orders"]).arg(&bomb).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("refused: budget") && said.contains("graphics states"), "{said}");
}
