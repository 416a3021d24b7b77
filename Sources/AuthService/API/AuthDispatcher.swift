internal import AuthAPI
package import Base
internal import ClusterModel
internal import EventLoop
internal import Logging

/// From a path and a body to a call of the auth server and back. Authorises first, decodes after.
package final class AuthDispatcher: Sendable {
    private typealias Handler = @Sendable (_ body: [UInt8], _ caller: Caller) async throws(TeleportError) -> [UInt8]

    private let server: AuthServer
    private let routes: [String: (action: AuthAction, handler: Handler)]

    package init(_ server: AuthServer) {
        self.server = server
        var table: [String: (AuthAction, Handler)] = [:]
        func route<Request, Response>(
            _ endpoint: Endpoint<Request, Response>,
            _ handle: @escaping @Sendable (isolated AuthServer, Request, Caller) async throws(TeleportError) -> Response
        ) {
            table[endpoint.path] = (
                endpoint.action,
                { (body, caller) async throws(TeleportError) -> [UInt8] in
                    let request = try Self.decode(Request.self, body)
                    let response = try await handle(server, request, caller)
                    do { return try JSONText.encodeBytes(response) } catch {
                        throw TeleportError(.systemError, "the answer cannot be written as JSON", cause: error)
                    }
                }
            )
        }
        route(Endpoints.ping) { server, _, _ in PingResponse(cluster: server.settings.clusterName, version: server.settings.version) }
        route(Endpoints.tlsAuthority) { server, _, _ in
            TLSAuthorityResponse(cluster: server.settings.clusterName, certificates: [server.tlsAuthority])
        }
        route(Endpoints.register) { server, request, caller async throws(TeleportError) in try await server.register(request, from: caller)
        }
        route(Endpoints.renewHost) { server, request, caller async throws(TeleportError) in try await server.renew(request, from: caller) }
        table[Endpoints.snapshot.path] = (
            Endpoints.snapshot.action,
            { (body, caller) async throws(TeleportError) -> [UInt8] in
                let request = try Self.decode(SnapshotRequest.self, body)
                let wait = Duration.seconds(min(max(0, request.waitSeconds), Self.waitSecondsMax))
                return try await server.snapshot(after: request.after, waitingUpTo: wait, forNode: caller.systemRoles == [.node])
            }
        )
        route(Endpoints.heartbeatNode) { server, node, caller async throws(TeleportError) in
            try await server.heartbeat(node, from: caller)
            return Empty()
        }
        route(Endpoints.heartbeatProxy) { server, proxy, caller async throws(TeleportError) in
            try await server.heartbeat(proxy, from: caller)
            return Empty()
        }
        route(Endpoints.reportTunnels) { server, report, caller async throws(TeleportError) in
            try await server.reportTunnels(report, from: caller)
            return Empty()
        }
        route(Endpoints.login) { server, request, _ async throws(TeleportError) in try await server.login(request) }
        route(Endpoints.describeSignup) { server, request, caller async throws(TeleportError) in
            try await server.describeSignup(request, from: caller)
        }
        route(Endpoints.completeSignup) { server, request, caller async throws(TeleportError) in
            try await server.completeSignup(request, from: caller)
            return Empty()
        }
        route(Endpoints.exchangeTrust) { server, request, caller async throws(TeleportError) in
            try await server.exchangeTrust(request, from: caller)
        }
        route(Endpoints.listNodes) { server, _, caller async throws(TeleportError) in
            NodesResponse(nodes: try server.visibleNodes(to: caller))
        }
        route(Endpoints.status) { server, _, _ async throws(TeleportError) in try await server.status() }
        route(Endpoints.inviteUser) { server, request, _ async throws(TeleportError) in try await server.invite(request) }
        route(Endpoints.createToken) { server, request, _ async throws(TeleportError) in try await server.createToken(request) }
        route(Endpoints.signUser) { server, request, _ async throws(TeleportError) in try await server.signUser(request) }
        route(Endpoints.signHost) { server, request, _ async throws(TeleportError) in try server.signHost(request) }
        route(Endpoints.signSite) { server, request, _ async throws(TeleportError) in try server.signSite(request) }
        route(Endpoints.getResources) { server, query, _ async throws(TeleportError) in
            ResourceList(resources: try await server.resources(query))
        }
        route(Endpoints.putResource) { server, request, _ async throws(TeleportError) in
            try await server.put(request)
            return Empty()
        }
        route(Endpoints.deleteResource) { server, name, _ async throws(TeleportError) in
            try await server.delete(name)
            return Empty()
        }
        routes = table
    }

    private static let waitSecondsMax = 60

    package var paths: [String] { routes.keys.sorted() }

    /// - Returns: the body of the answer.
    package func call(_ path: String, body: [UInt8], caller: Caller) async throws(TeleportError) -> [UInt8] {
        guard let (action, handler) = routes[path] else { throw .notFound("there is no \(Names.quoted(path))") }
        try Authorization.check(action, caller)
        return try await handler(body, caller)
    }

    private static func decode<Request: Decodable>(_ type: Request.Type, _ body: [UInt8]) throws(TeleportError) -> Request {
        guard body.count <= Endpoints.requestBytesMax else {
            throw .limitExceeded("the request is longer than \(Endpoints.requestBytesMax) bytes")
        }
        do { return try JSONText.decode(type, from: body) } catch {
            throw (error as? TeleportError) ?? .badParameter("the request cannot be read", cause: error)
        }
    }
}

extension AuthServer {
    /// The answer to a question for the state, as it goes out: written on the worker pool, and kept for whoever asks once it is there. Those who were
    /// waiting for the same revision together each have it written.
    func snapshot(after revision: Int64, waitingUpTo wait: Duration, forNode isForNode: Bool) async throws(TeleportError) -> [UInt8] {
        let state = await state(after: revision, waitingUpTo: wait)
        if let state, let written = writtenStates[isForNode], written.revision == state.revision { return written.bytes }
        let bytes: [UInt8]
        do {
            bytes = try await eventLoop.work {
                try JSONText.encodeBytes(SnapshotResponse(state: state.map { isForNode ? Self.restricted($0) : $0 }))
            }
        } catch {
            throw TeleportError(.systemError, "the answer cannot be written as JSON", cause: error)
        }
        if let state { writtenStates[isForNode] = (state.revision, bytes) }
        return bytes
    }

    /// A node decides from this cluster's authorities, those of foreign users and roles, and dials proxies; the rest is not its business.
    private static func restricted(_ state: ClusterState) -> ClusterState {
        var own = state
        own.authorities = state.authorities.filter { $0.cluster == state.clusterName || $0.type == .user }
        own.nodes = []
        own.remoteClusters = []
        own.opensshSites = []
        own.authServers = []
        return own
    }

    /// The nodes that a user of this cluster may log in to.
    func visibleNodes(to caller: Caller) throws(TeleportError) -> [Node] {
        guard let identity = caller.identity, identity.bearer == .user else { throw .accessDenied("a user's certificate is needed") }
        let known = Dictionary(state.roles.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        guard let roles = try? RoleSet(names: identity.roles, known: known) else { return [] }
        return state.nodes.filter { roles.mayList(labels: $0.labels) }
    }
}
