import ArgumentParser
import AuthAPI
import Base
import ClientKit
import ClusterModel
import Crypto
import EventLoop
import Programs

struct AuthCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "auth", abstract: "Exports authorities and signs certificates.",
        discussion: "Example: tctl auth sign --user=ci --logins=deploy --ttl=12h --format=openssh --out=ci",
        subcommands: [Export.self, Sign.self])

    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export", abstract: "The same as `tctl authorities … export`.", discussion: "Example: tctl auth export --type=user"
        )
        @OptionGroup var admin: AdminOptions
        @OptionGroup var options: ExportOptions

        func run() throws {
            try options.export(admin)
        }
    }

    struct Sign: ParsableCommand {
        enum Format: String, ExpressibleByArgument, CaseIterable, Sendable { case openssh, file }

        static let configuration = CommandConfiguration(
            commandName: "sign", abstract: "Makes a key and a certificate for a user, a host or a site's agent.",
            discussion: """
                With --format=openssh it writes PATH and PATH-cert.pub, with --format=file one identity file for tsh -i.

                Examples:
                  tctl auth sign --user=ci --logins=deploy --ttl=12h --format=openssh --out=ci
                  tctl auth sign --host=db1.example.com,db1 --format=openssh --out=ssh_host_ed25519_key
                  tctl auth sign --site=west --format=openssh --out=west
                """)
        @OptionGroup var admin: AdminOptions
        @Option(help: "Whom the certificate speaks for; a user of the cluster, or any name with --logins.") var user: String?
        @Option(help: "Logins, separated by commas; by default the user's own.") var logins = ""
        @Option(help: ArgumentHelp("A host's name, and its aliases behind commas.", valueName: "name[,alias…]")) var host: String?
        @Option(help: ArgumentHelp("A site whose agent is a plain OpenSSH client.", valueName: "name")) var site: String?
        @Option(help: "How long the certificate is valid: 12h by default, a year for a host or a site.") var ttl: DurationText?
        @Option(help: "openssh or file.") var format = Format.openssh
        @Option(name: [.long, .customShort("o")], help: "Where to write.") var out: String
        @Flag(help: "Replace files that exist.") var overwrite = false

        func validate() throws {
            guard [user, host, site].compactMap({ $0 }).count == 1 else {
                throw ValidationError("say for whom: one of --user, --host and --site")
            }
            guard user != nil || logins.isEmpty else { throw ValidationError("--logins goes with --user") }
            guard user != nil || format == .openssh else { throw ValidationError("--format=file is for users") }
        }

        func run() throws {
            let (user, logins, host, site, ttl, format, out, overwrite) = (user, commaList(logins), host, site, ttl, format, out, overwrite)
            try admin.run { client, loop in
                let keys = UserKeys(randomness: SystemRandomness())
                let publicKey = keys.sshPublicKey
                let files: SignedFiles
                if let user {
                    let request = SignUserRequest(
                        user: user, logins: logins, ttlSeconds: ttl?.seconds ?? 12 * 3600, publicKey: publicKey,
                        tlsPublicKey: format == .file ? keys.tlsPublicKey : nil)
                    let signed = try await client.signUser(request)
                    files = SignedFiles(
                        certificate: signed.sshCertificate, authorities: signed.authorities, hostKeys: signed.knownHosts,
                        tlsCertificate: signed.tlsCertificate)
                } else if let host {
                    let request = SignHostRequest(names: commaList(host), publicKey: publicKey, ttlSeconds: ttl?.seconds ?? 365 * 86400)
                    let signed = try await client.signHost(request)
                    files = SignedFiles(certificate: signed.certificate, authorities: signed.authorities)
                } else {
                    let request = SignSiteRequest(site: site ?? "", publicKey: publicKey, ttlSeconds: ttl?.seconds ?? 365 * 86400)
                    let signed = try await client.signSite(request)
                    files = SignedFiles(certificate: signed.certificate, authorities: signed.authorities)
                }
                let written = try await loop.work { try files.write(keys, format: format, out: out, overwrite: overwrite) }
                print("wrote \(written.joined(separator: ", "))")
            }
        }
    }
}

/// A fresh key's certificates on their way to disk.
private struct SignedFiles: Sendable {
    let certificate: String
    let authorities: [CertificateAuthority]
    var hostKeys: [String] = []
    var tlsCertificate: String?

    /// - Returns: the paths.
    func write(_ keys: UserKeys, format: AuthCommand.Sign.Format, out: String, overwrite: Bool) throws(TeleportError) -> [String] {
        let files: [(path: String, text: String, mode: UInt32)] =
            switch format {
            case .openssh: [(out, keys.sshPrivateKey, 0o600), ("\(out)-cert.pub", certificate + "\n", 0o644)]
            case .file: [(out, identity(keys).text, 0o600)]
            }
        if !overwrite {
            for file in files where try FileIO.status(file.path) != nil {
                throw .alreadyExists("\(file.path) exists; --overwrite replaces it")
            }
        }
        for file in files { try FileIO.write(Array(file.text.utf8), to: file.path, mode: file.mode) }
        return files.map(\.path)
    }

    private func identity(_ keys: UserKeys) -> IdentityFile {
        let tls = tlsCertificate.map {
            IdentityFile.TLS(
                privateKey: keys.tlsPrivateKey, certificate: $0,
                authorities: authorities.filter { $0.type == .tls }.flatMap(\.tlsCertificates))
        }
        return IdentityFile(
            privateKey: keys.sshPrivateKey, certificate: certificate, authorities: authorities, hostKeys: hostKeys, tls: tls)
    }
}
