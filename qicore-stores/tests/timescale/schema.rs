use crate::servers;

#[tokio::test]
async fn a_schema_is_made_once() {
    for place in servers::both().await {
        let store = place.store();
        let flavour = store.migrate().await.unwrap();
        let health = store.health().await.unwrap();
        assert!(health.is_ready(), "{health:?}");
        assert_eq!(store.migrate().await.unwrap(), flavour);
        assert_eq!(place.all().await, []);
    }
}
