//! Manifests and the tables beside them.
#![no_main]

use drivejob::manifest::{Brief, Reader, Row, Writer, decode_facts, encode_facts, read_table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_table(bytes, ["source", "target"]);
    let Ok(reader) = Reader::new(bytes) else {
        return;
    };
    let rows: Vec<Row> = reader.filter_map(Result::ok).collect();
    let mut writer = Writer::new(Vec::new(), false).unwrap();
    for row in &rows {
        writer.write(row).unwrap();
        let facts = decode_facts(&encode_facts(&row.entry)).unwrap();
        assert_eq!(facts.properties, row.entry.properties);
    }
    let (written, count) = writer.finish().unwrap();
    assert_eq!(count, rows.len() as u64);
    let again: Vec<Row> = Reader::new(&written[..]).unwrap().map(Result::unwrap).collect();
    assert_eq!(again, rows);

    let mut reader = Reader::new(&written[..]).unwrap();
    let mut brief = Brief::default();
    for row in &rows {
        reader.next_brief(&mut brief).unwrap().unwrap();
        assert_eq!(
            (brief.path.as_str(), brief.size),
            (row.path.as_str(), row.entry.size)
        );
    }
    assert!(reader.next_brief(&mut brief).is_none());
});
