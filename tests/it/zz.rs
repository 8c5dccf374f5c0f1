#[test]
fn probe_file() {
    let types = lockstep::testing::types();
    let path = std::env::var("F").unwrap();
    let spec = types.get(&std::env::var("T").unwrap_or("orders".into())).unwrap();
    println!("{:?}", lockstep::report::read(&std::fs::read(path).unwrap(), spec, &types).map(|r| r.records.len()));
}
