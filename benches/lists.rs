//! Look-ups of remote ends in a list of a million prefixes, as many at a time as the kernel sends packets in a datagram.
#![allow(clippy::unwrap_used, missing_docs, reason = "a failure here fails the benchmark")]

use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nflog_exporter::{
    networks::{ListConfig, Networks, NetworksConfig},
    packet::Addresses,
};

const PREFIXES: usize = 1_000_000;
const ADDRESSES: usize = 100_000;
/// Packets of a batch.
const BATCH: usize = 100;

/// Addresses of a list: lengths as on published lists, at random places of the address space.
fn prefix(random: &mut fastrand::Rng, v6: bool) -> (IpAddr, u32) {
    let length = match (v6, random.u32(0..100)) {
        (false, 0..70) => 32,
        (false, 70..95) => 24,
        (false, _) => random.u32(16..24),
        (true, 0..40) => 64,
        (true, 40..80) => 48,
        (true, 80..90) => 128,
        (true, _) => 32,
    };
    (address(random, v6), length)
}

/// An address at random; of IPv6 one that is routed.
fn address(random: &mut fastrand::Rng, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(2 << 124 | random.u128(..) >> 4).into()
    } else {
        Ipv4Addr::from_bits(random.u32(..)).into()
    }
}

fn inside(random: &mut fastrand::Rng, (address, length): (IpAddr, u32)) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & !host | random.u32(..) & host).into()
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & !host | random.u128(..) & host).into()
        }
    }
}

fn addresses(remote: IpAddr) -> Addresses {
    match remote {
        IpAddr::V4(source) => Addresses::V4 { source, destination: Ipv4Addr::LOCALHOST },
        IpAddr::V6(source) => Addresses::V6 { source, destination: Ipv6Addr::LOCALHOST },
    }
}

fn lists(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("a list of a million prefixes");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, v6) in [("IPv4", false), ("IPv6", true)] {
        let mut random = fastrand::Rng::with_seed(1);
        let prefixes: Vec<_> = (0..PREFIXES).map(|_| prefix(&mut random, v6)).collect();
        let mut text = String::new();
        for (address, length) in &prefixes {
            writeln!(text, "{address}/{length}").unwrap();
        }
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        let config = ListConfig { name: name.into(), file };
        let start = Instant::now();
        let networks = Networks::open(&NetworksConfig::default(), &vec![config].into()).unwrap();
        println!("{name}: read and built in {:?}", start.elapsed());
        let mut lookup = networks.lookup();
        let mut found = Vec::new();
        let hits: Vec<_> = (0..ADDRESSES)
            .map(|_| {
                let prefix = prefixes[random.usize(..PREFIXES)];
                inside(&mut random, prefix)
            })
            .collect();
        let others: Vec<_> = (0..ADDRESSES).map(|_| address(&mut random, v6)).collect();
        for (kind, remotes) in [("listed", hits), ("random", others)] {
            let mut batches = remotes.chunks(BATCH).cycle();
            group.bench_function(format!("{name}, {kind}"), |bencher| {
                bencher.iter(|| {
                    let batch = batches.next().unwrap().iter();
                    let packets = batch.map(|&remote| Some((addresses(remote), remote)));
                    lookup.packets(packets, &mut found);
                    black_box(&found);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
