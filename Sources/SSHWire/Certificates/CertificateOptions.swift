internal import Base

/// The critical options or the extensions of a certificate (draft-miller-ssh-cert §2.1.2, §2.1.3): names in order, each once.
package struct CertificateOptions: Equatable, Sendable {
    package struct Option: Equatable, Sendable {
        package let name: String
        /// Empty for a flag; else one `string` inside this string.
        package let data: [UInt8]

        /// What an option that is no flag says; nil for a flag and for data that is no single string.
        package var value: [UInt8]? {
            var reader = ByteReader(data.span)
            guard let value = try? reader.readString(), reader.remaining == 0 else { return nil }
            return value
        }
    }

    /// A certificate with more is a mistake or an attack.
    package static let optionsMax = 64
    package static let dataBytesMax = 16384

    package private(set) var options: [Option] = []

    package init() {}

    /// - Parameters:
    ///   - flags: names without a value.
    ///   - values: names with theirs.
    package init(flags: [String] = [], values: [String: String] = [:]) {
        for name in Set(flags) where values[name] == nil { options.append(Option(name: name, data: [])) }
        for (name, value) in values {
            var writer = ByteWriter()
            writer.writeText(value)
            options.append(Option(name: name, data: writer.finish()))
        }
        options.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// Reads the inside of a certificate's `critical options` or `extensions`.
    init(parsing bytes: Span<UInt8>) throws(KeyError) {
        var reader = ByteReader(bytes)
        while reader.remaining > 0 {
            guard options.count < Self.optionsMax else { throw .malformed(.tooLong(options.count + 1)) }
            let option = Option(
                name: try KeyError.reading(reader.readName()), data: try KeyError.reading(reader.readString(max: Self.dataBytesMax)))
            if let last = options.last, !last.name.utf8.lexicographicallyPrecedes(option.name.utf8) {
                throw .optionsNotInOrder(option.name)
            }
            options.append(option)
        }
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        for option in options {
            writer.writeText(option.name)
            writer.writeString(option.data)
        }
        return writer.finish()
    }

    package var names: [String] { options.map(\.name) }

    package func contains(_ name: String) -> Bool {
        options.contains { $0.name == name }
    }

    /// The value of an option; nil where there is none, or it is a flag or not UTF-8.
    package subscript(name: String) -> String? {
        options.first { $0.name == name }?.value.flatMap { String(validating: $0, as: UTF8.self) }
    }
}

/// The critical options that we know.
package enum CriticalOption {
    package static let forceCommand = "force-command"
    package static let sourceAddress = "source-address"
    /// The credential of a plain OpenSSH client that is a site's agent: its value is the site's name.
    package static let site = "x-teleport-site"
}

/// The extensions that we know.
package enum CertificateExtension {
    package static let permitPTY = "permit-pty"
    package static let permitPortForwarding = "permit-port-forwarding"
    package static let permitAgentForwarding = "permit-agent-forwarding"
    package static let permitUserRC = "permit-user-rc"
    package static let permitX11Forwarding = "permit-X11-forwarding"
    /// JSON list of the user's roles.
    package static let roles = "teleport-roles"
    /// JSON object of the user's traits.
    package static let traits = "teleport-traits"
    /// The cluster that a host certificate speaks for.
    package static let authority = "x-teleport-authority"
    /// What a host is: `Node`, `Proxy`, `Auth`.
    package static let role = "x-teleport-role"
}
