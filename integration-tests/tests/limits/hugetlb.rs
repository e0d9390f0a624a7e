//! Huge pages.

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{reason, script};
use tweendeck_proto::v1::*;

use super::limited;
use super::report::{enforced, unsupported};

const PAGE: u64 = 2 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn huge_pages_are_limited_by_size() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let limit = |page_size_bytes| HugetlbLimit { page_size_bytes, max_bytes: 2 * PAGE };
    let with = |page| Resources { hugetlb: vec![limit(page)], ..Default::default() };
    let odd = api.create("odd", limited(script("true"), with(3 << 20))).await.unwrap_err();
    assert!(["FIELD_INVALID", "UNSUPPORTED_ON_HOST"].contains(&reason(&odd).as_str()));
    match api.run("huge", limited(script("sleep 1000"), with(PAGE))).await {
        Err(refused) => unsupported("hugetlb", "hugetlb", &refused),
        Ok(container) => {
            assert_eq!(container.status.unwrap().effective.unwrap().hugetlb, [limit(PAGE)]);
            enforced("hugetlb", "hugetlb", "set and read back; no pages are reserved for a load");
        }
    }
}
