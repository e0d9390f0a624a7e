//! Huge pages.

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{exit, reason, script};
use tweendeck_proto::v1::*;

use super::limited;
use super::place::Place;
use super::report::{enforced, unsupported};

const PAGE: u64 = 2 << 20;
const POOL: &str = "/proc/sys/vm/nr_hugepages";

/// Huge pages that are set aside for as long as this lives.
struct Reserved {
    before: u64,
}

impl Reserved {
    fn new(pages: u64) -> Self {
        let read = || -> u64 { std::fs::read_to_string(POOL).unwrap().trim().parse().unwrap() };
        // First the guard: a pool that grew by less than this goes back too.
        let guard = Self { before: read() };
        let grow = || std::fs::write(POOL, (guard.before + pages).to_string()).unwrap();
        grow();
        if read() < guard.before + pages {
            std::fs::write("/proc/sys/vm/compact_memory", "1").unwrap();
            grow();
        }
        let got = read() - guard.before;
        assert_eq!(got, pages, "memory is too fragmented for so many huge pages of 2 MiB");
        guard
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let restored = std::fs::write(POOL, self.before.to_string());
        assert!(std::thread::panicking() || restored.is_ok(), "{POOL}: {restored:?}");
    }
}

/// The limit is met where memory is mapped (ENOMEM) or, of what is mapped without a reservation, where it is touched (SIGBUS).
#[tokio::test(flavor = "multi_thread")]
async fn huge_pages_are_limited_by_size() {
    let _alone = alone().await;
    let _pages = Reserved::new(6);
    let place = Place::new();
    let agent = Agent::start().await;
    let api = agent.api().await;
    let limit = |page_size_bytes| HugetlbLimit { page_size_bytes, max_bytes: 2 * PAGE };
    let with = |page| Resources { hugetlb: vec![limit(page)], ..Default::default() };
    let odd = api.create("odd", limited(script("true"), with(3 << 20))).await.unwrap_err();
    assert!(["FIELD_INVALID", "UNSUPPORTED_ON_HOST"].contains(&reason(&odd).as_str()));
    // Two pages are had. Of four the third is refused, by mmap(2) or by SIGBUS.
    let text = "/load huge 2 || exit 1; /load huge 4; [ $? = 102 ] || exit 2; \
                /load huge 4 unreserved; [ $? = 135 ] || exit 3; exit 42";
    let container = match api.run("limited", limited(place.script(text), with(PAGE))).await {
        Err(refused) => return unsupported("hugetlb", "hugetlb", &refused),
        Ok(container) => container,
    };
    assert_eq!(container.status.unwrap().effective.unwrap().hugetlb, [limit(PAGE)]);
    assert_eq!(exit(&api.wait("limited").await.unwrap()).code, 42);
    // There are as many as were asked for.
    api.run("free", place.spec(&["/load", "huge", "4"])).await.unwrap();
    assert_eq!(exit(&api.wait("free").await.unwrap()).code, 0);
    enforced("hugetlb", "hugetlb", "2 of 4 pages of 2 MiB are had, the third is ENOMEM, or SIGBUS if not reserved");
}
