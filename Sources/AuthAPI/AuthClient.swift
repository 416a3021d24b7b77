package import Base
package import ClusterModel
package import EventLoop

/// What carries a call to an auth server: HTTPS in production, a closure in tests.
package protocol AuthTransport: Sendable {
    /// - Parameter path: one of ``Endpoints``.
    /// - Returns: the body of a 2xx answer.
    /// - Throws: the server's own error, or `ConnectionProblem` where none answered.
    func post(_ path: String, body: [UInt8], timeout: Duration) async throws(TeleportError) -> [UInt8]
}

/// The auth server, as the other services see it.
package struct AuthClient: Sendable {
    package let transport: any AuthTransport

    /// An answer that takes longer than this is given up; waiting for a snapshot adds its own time.
    package static let timeout = Duration.seconds(15)

    package init(transport: any AuthTransport) {
        self.transport = transport
    }

    package func call<Request, Response>(
        _ endpoint: Endpoint<Request, Response>, _ request: Request
    ) async throws(TeleportError) -> Response {
        try Self.decode(try await answer(endpoint, request, timeout: Self.timeout), endpoint)
    }

    private func answer<Request, Response>(
        _ endpoint: Endpoint<Request, Response>, _ request: Request, timeout: Duration
    ) async throws(TeleportError) -> [UInt8] {
        let body: [UInt8]
        do { body = try JSONText.encodeBytes(request) } catch {
            throw (error as? TeleportError) ?? .badParameter("the request cannot be written as JSON", cause: error)
        }
        return try await transport.post(endpoint.path, body: body, timeout: timeout)
    }

    private static func decode<Request, Response>(
        _ answer: [UInt8], _ endpoint: Endpoint<Request, Response>
    ) throws(TeleportError) -> Response {
        do { return try JSONText.decode(Response.self, from: answer) } catch {
            throw .connectionProblem("the auth server's answer to \(endpoint.path) cannot be read", cause: error)
        }
    }

    package func ping() async throws(TeleportError) -> PingResponse { try await call(Endpoints.ping, Empty()) }

    // MARK: Certificates

    package func register(_ request: RegisterRequest) async throws(TeleportError) -> HostCertificates {
        try await call(Endpoints.register, request)
    }
    package func renewHost(_ request: RenewRequest) async throws(TeleportError) -> HostCertificates {
        try await call(Endpoints.renewHost, request)
    }

    // MARK: Presence

    /// Read on the worker pool, as it is long where there are many sites.
    ///
    /// - Returns: nil where nothing has changed.
    package func snapshot(
        after revision: Int64, waitSeconds: Int, on loop: isolated EventLoop
    ) async throws(TeleportError) -> ClusterSnapshot? {
        let request = SnapshotRequest(after: revision, waitSeconds: waitSeconds)
        let answer = try await answer(Endpoints.snapshot, request, timeout: Self.timeout + .seconds(waitSeconds))
        do {
            return try await loop.work { try Self.decode(answer, Endpoints.snapshot).state.map(ClusterSnapshot.init) }
        } catch {
            throw (error as? TeleportError) ?? TeleportError(.systemError, "the auth server's answer cannot be read", cause: error)
        }
    }

    /// Announces a node; every 20 seconds, as the record is kept for 60.
    package func heartbeat(_ node: Node) async throws(TeleportError) { _ = try await call(Endpoints.heartbeatNode, node) }
    package func heartbeat(_ proxy: ProxyRecord) async throws(TeleportError) { _ = try await call(Endpoints.heartbeatProxy, proxy) }
    package func reportTunnels(_ report: TunnelReport) async throws(TeleportError) { _ = try await call(Endpoints.reportTunnels, report) }
    package func listNodes() async throws(TeleportError) -> [Node] { try await call(Endpoints.listNodes, Empty()).nodes }

    // MARK: What a proxy passes on for strangers

    package func login(_ request: LoginRequest) async throws(TeleportError) -> LoginResponse { try await call(Endpoints.login, request) }
    package func describeSignup(token: String) async throws(TeleportError) -> SignupDescription {
        try await call(Endpoints.describeSignup, SignupToken(token: token))
    }
    package func completeSignup(_ request: SignupRequest) async throws(TeleportError) {
        _ = try await call(Endpoints.completeSignup, request)
    }
    package func exchangeTrust(_ request: TrustRequest) async throws(TeleportError) -> TrustResponse {
        try await call(Endpoints.exchangeTrust, request)
    }
    package func tlsAuthority() async throws(TeleportError) -> TLSAuthorityResponse { try await call(Endpoints.tlsAuthority, Empty()) }

    // MARK: Administration

    package func status() async throws(TeleportError) -> StatusResponse { try await call(Endpoints.status, Empty()) }
    package func inviteUser(_ request: InviteRequest) async throws(TeleportError) -> InviteResponse {
        try await call(Endpoints.inviteUser, request)
    }
    package func createToken(_ request: TokenRequest) async throws(TeleportError) -> TokenResponse {
        try await call(Endpoints.createToken, request)
    }
    package func signUser(_ request: SignUserRequest) async throws(TeleportError) -> UserCertificates {
        try await call(Endpoints.signUser, request)
    }
    package func signHost(_ request: SignHostRequest) async throws(TeleportError) -> SignedCertificate {
        try await call(Endpoints.signHost, request)
    }
    package func signSite(_ request: SignSiteRequest) async throws(TeleportError) -> SignedCertificate {
        try await call(Endpoints.signSite, request)
    }
    package func resources(_ kind: ResourceKind, name: String? = nil) async throws(TeleportError) -> [Resource] {
        try await call(Endpoints.getResources, ResourceQuery(kind: kind, name: name)).resources
    }
    package func put(_ resource: Resource, replace: Bool) async throws(TeleportError) {
        _ = try await call(Endpoints.putResource, PutRequest(resource: resource, replace: replace))
    }
    package func delete(_ kind: ResourceKind, name: String) async throws(TeleportError) {
        _ = try await call(Endpoints.deleteResource, ResourceName(kind: kind, name: name))
    }
}
