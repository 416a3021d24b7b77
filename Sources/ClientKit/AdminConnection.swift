package import AuthAPI
package import Base
internal import ClusterModel
internal import Config
package import EventLoop

/// How `tctl` reaches the auth server.
package enum AdminConnection {
    /// What the auth server's configuration says to an administrator on its own host.
    package struct Local: Sendable {
        package let dataDirectory: String
        package let authServers: [HostPort]
    }

    /// On the auth server's own host: its configuration names the data directory, which holds the administrator's identity.
    package static func client(configFile: String?, authServer: String?, _ loop: isolated EventLoop) async throws -> AuthClient {
        let (local, identity) = try await loop.work {
            let local = try Self.local(configFile)
            let directory = "\(local.dataDirectory)/identity"
            guard let identity = try HostIdentity.load(directory: directory, role: .admin) else {
                throw TeleportError.notFound(
                    "there is no administrator's identity in \(directory): run tctl on the auth server's host as the user who runs teleport, name its configuration with -c, or use --identity with --auth-server"
                )
            }
            return (local, identity)
        }
        let servers = try authServer.map { [try server($0)] } ?? local.authServers
        guard !servers.isEmpty else {
            throw TeleportError.badParameter("the configuration names no auth server; use --auth-server=HOST:PORT")
        }
        return AuthClient(servers: servers, identity: identity, on: loop)
    }

    /// From elsewhere, with an identity file that carries a certificate for the API.
    package static func client(identityFile: String, authServer: String?, _ loop: isolated EventLoop) async throws -> AuthClient {
        guard let authServer else { throw TeleportError.badParameter("--identity needs --auth-server=HOST:PORT") }
        let server = try server(authServer)
        let identity = try await loop.work { try hostIdentity(of: identityFile) }
        return AuthClient(servers: [server], identity: identity, on: loop)
    }

    /// The configuration's file, else the usual one, else the defaults. Blocks.
    package static func local(_ file: String?) throws(TeleportError) -> Local {
        let parsed = try ConfigFile.load(file) { path throws(TeleportError) in try FileIO.read(path, max: 1 << 20) }
        let config = try Config(file: parsed, hostname: SystemName.hostname())
        return Local(dataDirectory: config.dataDir, authServers: config.authServers)
    }

    private static func hostIdentity(of path: String) throws(TeleportError) -> HostIdentity {
        let file = try IdentityFile(parsing: String(decoding: try FileIO.read(path, max: 1 << 20), as: UTF8.self))
        guard let tls = file.tls else {
            throw .badParameter("\(path) has no certificate for the auth API; make one with `tctl auth sign --user=… --format=file`")
        }
        let identity = try ClientIdentity(
            privateKey: file.privateKey, certificate: file.certificate, knownHosts: file.knownHosts, name: path)
        return HostIdentity(
            uuid: identity.user, hostname: identity.user, cluster: identity.cluster, role: .admin, sshPrivateKey: file.privateKey,
            sshCertificate: file.certificate, tlsPrivateKey: tls.privateKey, tlsCertificate: tls.certificate,
            authorities: [CertificateAuthority(type: .tls, cluster: identity.cluster, tlsCertificates: tls.authorities)])
    }

    private static func server(_ text: String) throws(TeleportError) -> HostPort {
        guard let pair = HostPort(text, defaultPort: ConfigDefaults.authPort) else {
            throw .badParameter("--auth-server=\(text) is not HOST:PORT")
        }
        return pair
    }
}
