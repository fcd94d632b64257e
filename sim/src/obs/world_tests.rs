use super::*;

const NOW: i64 = 1_800_000_000;

fn size() -> Size {
    Size {
        workers: 4,
        instances: 2,
        packages: 200,
        jobs: 40,
        jobs_per_hour: 0.0,
        projects: vec!["p".to_owned()],
        seed: 7,
        speed: 1.0,
    }
}

fn codes(world: &World, code: Code) -> usize {
    let jobs = world.targets.iter().flat_map(|t| &t.jobs);
    jobs.filter(|job| job.code == code).count()
}

#[test]
fn a_queue_is_built_to_its_end_and_what_was_blocked_follows() {
    let mut world = World::new(&size(), NOW);
    assert_eq!(codes(&world, Code::Building), 8, "every instance builds");
    assert!(codes(&world, Code::Blocked) > 0);
    assert!(world.in_hand() >= 40);
    let mut now = NOW as f64;
    while world.in_hand() > 0 {
        now += 30.0;
        world.advance(now);
        assert!(now < NOW as f64 + 86_400.0, "{} left", world.in_hand());
    }
    let busy = world.hosts.values().flat_map(|h| &h.instances);
    assert_eq!(busy.filter(|i| i.doing != Doing::Idle).count(), 0);
}

#[test]
fn a_spoilt_worker_loses_what_it_takes_and_the_others_do_not() {
    let empty = Size {
        packages: 0,
        jobs: 0,
        ..size()
    };
    let mut world = World::new(&empty, NOW);
    assert!(world.spoil("worker-00000") && !world.spoil("nobody"));
    world.queue(0, 40, 60.0, "job", NOW as f64);
    for second in 0..600 {
        world.advance((NOW + second) as f64);
    }
    let history = &world.targets[0].history;
    assert_eq!(history.len(), 40);
    for ended in history {
        let spoilt = ended.workerid.starts_with("worker-00000:");
        let (code, took) = if spoilt {
            (Code::Failed, 3)
        } else {
            (Code::Succeeded, 60)
        };
        assert_eq!((ended.code, ended.end - ended.start), (code, took));
    }
}

#[test]
fn one_seed_gives_one_course_of_events() {
    let course = |seed| {
        let mut world = World::new(&Size { seed, ..size() }, NOW);
        world.advance(NOW as f64 + 500.0);
        format!("{:?}", world.targets)
    };
    assert_eq!(course(7), course(7));
    assert_ne!(course(7), course(8));
}

#[test]
fn jobs_come_at_the_rate_that_was_asked_for() {
    let size = Size {
        jobs: 0,
        jobs_per_hour: 60.0,
        ..size()
    };
    let mut world = World::new(&size, NOW);
    let before: usize = world.targets.iter().map(|t| t.history.len()).sum();
    let mut now = NOW as f64;
    for _ in 0..360 {
        now += 10.0;
        world.advance(now);
    }
    let after: usize = world.targets.iter().map(|t| t.history.len()).sum();
    let came = after - before + world.in_hand();
    assert!((40..160).contains(&came), "{came} jobs in an hour at 60");
}

#[test]
fn a_killed_worker_leaves_a_ghost_until_its_job_is_restarted() {
    let mut world = World::new(&size(), NOW);
    let name = world.hosts.keys().next().unwrap().clone();
    assert!(world.kill(&name));
    let (job, _) = world.hosts[&name].instances[0].ghost.unwrap();
    world.advance(NOW as f64 + 100_000.0);
    let code = |world: &World| world.targets[job.target].jobs[job.package].code;
    assert_eq!(
        code(&world),
        Code::Building,
        "nobody builds it, and OBS does not know"
    );
    assert!(world.restart(job, NOW as f64 + 100_000.0));
    assert!(!world.restart(job, NOW as f64 + 100_000.0));
    assert_eq!(code(&world), Code::Scheduled);
}

#[test]
fn a_leaving_worker_ends_its_builds_and_takes_no_other() {
    let mut world = World::new(&size(), NOW);
    let name = world.hosts.keys().next().unwrap().clone();
    assert!(world.drain(&name));
    world.advance(NOW as f64 + 1.0);
    let building = |world: &World| {
        let instances = world.hosts[&name].instances.iter();
        instances
            .filter(|i| matches!(i.doing, Doing::Building { .. }))
            .count()
    };
    assert_eq!(building(&world), 2);
    world.advance(NOW as f64 + 10_000.0);
    assert_eq!(building(&world), 0);
    assert!(
        world.hosts[&name]
            .instances
            .iter()
            .all(|i| i.doing == Doing::Down)
    );
    assert!(world.take_back(&name));
    assert!(
        world.hosts[&name]
            .instances
            .iter()
            .all(|i| i.doing == Doing::Idle)
    );
}
