//! Can the process that reads reports do anything but read one? It is asked from inside.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt as _},
    path::Path,
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use lockstep::{
    report::sandbox::{ReadReports as _, Sandbox},
    sync_type::SyncTypes,
};

fn sandbox() -> Sandbox {
    let worker = env!("CARGO_BIN_EXE_lockstep").into();
    Sandbox { worker, memory: 512 << 20, time: Duration::from_secs(20) }
}

#[tokio::test]
async fn no_file_no_socket_and_no_program() {
    let types = Arc::new(SyncTypes::built_in().unwrap());
    let found = sandbox().confinement(&types).await.unwrap().unwrap();
    println!("{found:?}");
    assert!(found.open.is_empty(), "it can still {:?}", found.open);
    assert!(found.seccomp, "{found:?}");
    // not every kernel has it; what it would keep away, seccomp does
    let has_landlock = fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|all| all.contains("landlock"));
    assert!(found.landlock || !has_landlock, "{found:?}");
}

#[test]
fn the_service_s_environment_is_not_for_others_of_its_user() {
    let folder = tempfile::tempdir().unwrap();
    // root may read everything: another user shows it, who may not be able to enter the folder of the build
    let service = folder.path().join("lockstep");
    fs::copy(env!("CARGO_BIN_EXE_lockstep"), &service).unwrap();
    let other = rustix::process::getuid().is_root().then_some(65_534);
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(folder.path()).env("CANARY", "whisper");
        if let Some(other) = other {
            command.uid(other).gid(other);
        }
        command
    };
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let environment_of = |process: &Child| {
        let read = command(Path::new("cat")).arg(format!("/proc/{}/environ", process.id())).output().unwrap();
        String::from_utf8_lossy(&read.stdout).into_owned()
    };
    let mut any = command(Path::new("sleep")).arg("60").spawn().unwrap();
    let mut service = command(&service).arg("serve").env("LOCKSTEP__SERVER__PORT", "0").spawn().unwrap();
    let started = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        folder.path().join("data/admin-token").exists()
    });
    let (of_any, of_service) = (environment_of(&any), environment_of(&service));
    for process in [&mut any, &mut service] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(started);
    assert!(of_any.contains("CANARY=whisper"), "the user can read what another program was given");
    assert_eq!(of_service, "");
}
