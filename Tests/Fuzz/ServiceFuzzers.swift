import AuthAPI
import ClusterModel
import ProxyService
import ReverseTunnel

func fuzzSubsystem(_ bytes: [UInt8]) {
    _ = try? ProxySubsystem(parsing: String(decoding: bytes, as: UTF8.self))
}

/// What the two ends of a tunnel say to each other beside bytes: where a channel leads, and which proxies there are.
func fuzzTransport(_ bytes: [UInt8]) {
    if let destination = try? TransportDestination(json: String(decoding: bytes, as: UTF8.self)) {
        guard let json = try? destination.json(), (try? TransportDestination(json: json)) == destination else {
            fatalError("a destination is written so that it is not read again: \(destination)")
        }
    }
    if let announcement = try? ProxyAnnouncement(json: bytes) {
        guard let json = try? announcement.json(), (try? ProxyAnnouncement(json: json)) == announcement else {
            fatalError("an announcement is written so that it is not read again: \(announcement)")
        }
    }
}

/// Every body that somebody may send to the API, by the input's first byte.
func fuzzAPIBody(_ bytes: [UInt8]) {
    let bodies = [
        reader(RegisterRequest.self), reader(RenewRequest.self), reader(SnapshotRequest.self), reader(TunnelReport.self),
        reader(LoginRequest.self), reader(InviteRequest.self), reader(SignupToken.self), reader(SignupRequest.self),
        reader(TrustRequest.self), reader(TokenRequest.self), reader(SignUserRequest.self), reader(SignHostRequest.self),
        reader(SignSiteRequest.self), reader(ResourceQuery.self), reader(PutRequest.self), reader(ResourceName.self), reader(Node.self),
        reader(ProxyRecord.self), reader(PingResponse.self), reader(HostCertificates.self), reader(SnapshotResponse.self),
        reader(UserCertificates.self), reader(TrustResponse.self), reader(StatusResponse.self),
    ]
    guard let first = bytes.first else { return }
    bodies[Int(first) % bodies.count](Array(bytes.dropFirst()))
}

private func reader<Body: Codable>(_ type: Body.Type) -> ([UInt8]) -> Void {
    { bytes in
        guard let body = try? JSONText.decode(type, from: bytes) else { return }
        guard let text = try? JSONText.encodeBytes(body), (try? JSONText.decode(type, from: text)) != nil else {
            fatalError("\(type) is written so that it is not read again: \(body)")
        }
    }
}
