//! Places: within a distance, on a sphere.

use serde_json::json;

use crate::world::{World, expect};

#[tokio::test]
async fn places_are_found_by_their_distance() {
    let world = World::new().await;
    let place = |id: &str, latitude: f64, longitude: f64| {
        json!({"resourceType": "Location", "id": id,
        "position": {"latitude": latitude, "longitude": longitude}})
    };
    world
        .put([
            place("berlin", 52.52, 13.405),
            place("potsdam", 52.3906, 13.0645),
            place("paris", 48.8566, 2.3522),
            place("suva", -18.1416, 178.4419),
            place("apia", -13.8333, -171.75),
            place("pole", 89.9, 0.0),
            place("beyond", 89.9, 180.0),
            place("opposite", -52.52, -166.595),
            json!({"resourceType": "Location", "id": "nowhere", "name": "x"}),
            json!({"resourceType": "Location", "id": "nonsense", "position": {"latitude": 100, "longitude": 13}}),
        ])
        .await;
    expect(
        &world,
        &[
            // From Berlin to Potsdam it is 27.19 km, to Paris 877.5 km.
            ("Location?near=52.52|13.405|27|km", "berlin"),
            ("Location?near=52.52|13.405|27.5|km", "berlin potsdam"),
            ("Location?near=52.52|13.405|27.5", "berlin potsdam"),
            ("Location?near=52.52|13.405", "berlin potsdam"),
            ("Location?near=52.52|13.405|27500|m", "berlin potsdam"),
            ("Location?near=52.52|13.405|16.8|[mi_us]", "berlin"),
            ("Location?near=52.52|13.405|17|[mi_us]", "berlin potsdam"),
            ("Location?near=52.52|13.405|0|km", "berlin"),
            ("Location?near=52.52|13.405|876|km", "berlin potsdam"),
            ("Location?near=52.52|13.405|879|km", "berlin paris potsdam"),
            ("Location?near=52.52|13.405|1|km,48.8566|2.3522|1|km", "berlin paris"),
            // Over the line where east meets west, and over the pole.
            ("Location?near=-18.1416|178.4419|1200|km", "apia suva"),
            ("Location?near=-13.8333|-171.75|1200|km", "apia suva"),
            ("Location?near=89.9|90|20|km", "beyond pole"),
            ("Location?near=89.9|0|20|km", "pole"),
            ("Location?near=89.9|0|23|km", "beyond pole"),
            ("Location?near=0|0|30000|km", "apia berlin beyond opposite paris pole potsdam suva"),
            ("Location?near=52.52|13.405|50|km&_id=potsdam", "potsdam"),
            // Nothing is further away than the other side of the Earth.
            ("Location?near=52.52|13.405|20015|km", "apia berlin beyond paris pole potsdam suva"),
            ("Location?near=52.52|13.405|20016|km", "apia berlin beyond opposite paris pole potsdam suva"),
        ],
    )
    .await;
}
