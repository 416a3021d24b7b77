package import ClusterModel

/// Everything that can be asked of the auth server; each is one route, and one row of the permission table.
package enum AuthAction: String, CaseIterable, Sendable {
    case ping, tlsAuthority
    case register, renewHost
    case snapshot, heartbeatNode, heartbeatProxy, reportTunnels
    case login, describeSignup, completeSignup
    case exchangeTrust
    case listNodes
    case status, inviteUser, createToken, signUser, signHost, signSite
    case getResources, putResource, deleteResource
}

/// A route and the bodies that belong to it: the one place from which client and server both know them.
package struct Endpoint<Request: Codable & Sendable, Response: Codable & Sendable>: Sendable {
    package let action: AuthAction
    package let path: String

    fileprivate init(_ action: AuthAction, _ path: String) {
        self.action = action
        self.path = path
    }
}

/// All routes. Every call is a POST with a JSON body, `{}` where there is nothing to say, so that no parameter stands in a URL or a log.
package enum Endpoints {
    package static let ping = Endpoint<Empty, PingResponse>(.ping, "/v1/ping")
    package static let tlsAuthority = Endpoint<Empty, TLSAuthorityResponse>(.tlsAuthority, "/v1/authorities/tls")
    package static let register = Endpoint<RegisterRequest, HostCertificates>(.register, "/v1/register")
    package static let renewHost = Endpoint<RenewRequest, HostCertificates>(.renewHost, "/v1/host/renew")
    package static let snapshot = Endpoint<SnapshotRequest, SnapshotResponse>(.snapshot, "/v1/snapshot")
    package static let heartbeatNode = Endpoint<Node, Empty>(.heartbeatNode, "/v1/nodes/heartbeat")
    package static let heartbeatProxy = Endpoint<ProxyRecord, Empty>(.heartbeatProxy, "/v1/proxies/heartbeat")
    package static let reportTunnels = Endpoint<TunnelReport, Empty>(.reportTunnels, "/v1/tunnels")
    package static let login = Endpoint<LoginRequest, LoginResponse>(.login, "/v1/login")
    package static let describeSignup = Endpoint<SignupToken, SignupDescription>(.describeSignup, "/v1/signup/describe")
    package static let completeSignup = Endpoint<SignupRequest, Empty>(.completeSignup, "/v1/signup")
    package static let exchangeTrust = Endpoint<TrustRequest, TrustResponse>(.exchangeTrust, "/v1/trustedclusters")
    package static let listNodes = Endpoint<Empty, NodesResponse>(.listNodes, "/v1/nodes")
    package static let status = Endpoint<Empty, StatusResponse>(.status, "/v1/status")
    package static let inviteUser = Endpoint<InviteRequest, InviteResponse>(.inviteUser, "/v1/users/invite")
    package static let createToken = Endpoint<TokenRequest, TokenResponse>(.createToken, "/v1/tokens")
    package static let signUser = Endpoint<SignUserRequest, UserCertificates>(.signUser, "/v1/sign/user")
    package static let signHost = Endpoint<SignHostRequest, SignedCertificate>(.signHost, "/v1/sign/host")
    package static let signSite = Endpoint<SignSiteRequest, SignedCertificate>(.signSite, "/v1/sign/site")
    package static let getResources = Endpoint<ResourceQuery, ResourceList>(.getResources, "/v1/resources/get")
    package static let putResource = Endpoint<PutRequest, Empty>(.putResource, "/v1/resources/put")
    package static let deleteResource = Endpoint<ResourceName, Empty>(.deleteResource, "/v1/resources/delete")

    /// The largest request body that the server reads: an authority with every key it may list, and room.
    package static let requestBytesMax = 64 * 1024
    /// The largest answer that a client takes: a snapshot with 10,000 nodes and their labels.
    package static let responseBytesMax = 32 * 1024 * 1024
}
