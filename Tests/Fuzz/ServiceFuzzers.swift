import AuthAPI
import ClusterModel
import ProxyService

func fuzzSubsystem(_ bytes: [UInt8]) {
    _ = try? ProxySubsystem(parsing: String(decoding: bytes, as: UTF8.self))
}

/// Every body that somebody may send to the API, by the input's first byte.
func fuzzAPIBody(_ bytes: [UInt8]) {
    let bodies: [any Decodable.Type] = [
        RegisterRequest.self, RenewRequest.self, SnapshotRequest.self, TunnelReport.self, LoginRequest.self, InviteRequest.self,
        SignupToken.self, SignupRequest.self, TrustRequest.self, TokenRequest.self, SignUserRequest.self, SignHostRequest.self,
        SignSiteRequest.self, ResourceQuery.self, PutRequest.self, ResourceName.self, Node.self, ProxyRecord.self, PingResponse.self,
        HostCertificates.self, SnapshotResponse.self, UserCertificates.self, TrustResponse.self, StatusResponse.self,
    ]
    guard let first = bytes.first else { return }
    decode(bodies[Int(first) % bodies.count], Array(bytes.dropFirst()))
}

private func decode<Body: Decodable>(_ type: Body.Type, _ bytes: [UInt8]) {
    guard let body = try? JSONText.decode(type, from: bytes), let encodable = body as? any Encodable else { return }
    guard let text = try? JSONText.encodeBytes(encodable), (try? JSONText.decode(type, from: text)) != nil else {
        fatalError("\(type) is written so that it is not read again: \(body)")
    }
}
