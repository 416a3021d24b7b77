package import Base

/// What a client asks of an agent (PROTOCOL.agent; draft-ietf-sshm-ssh-agent §4). On the stream each message follows its length as `uint32`.
package enum AgentRequest: Sendable {
    case requestIdentities
    /// - flags: 2 asks for `rsa-sha2-256`, 4 for `rsa-sha2-512`.
    case sign(key: [UInt8], data: [UInt8], flags: UInt32)
    case add(AgentIdentity)
    case remove(key: [UInt8])
    case removeAll
    /// Any other request: the answer is a failure.
    case other(UInt8)

    /// As in OpenSSH: an agent reads no longer message.
    package static let bytesMax = 262_144

    private enum Number {
        static let requestIdentities: UInt8 = 11
        static let sign: UInt8 = 13
        static let add: UInt8 = 17
        static let remove: UInt8 = 18
        static let removeAll: UInt8 = 19
        static let addConstrained: UInt8 = 25
    }

    package static func flags(for algorithm: SignatureAlgorithm) -> UInt32 {
        switch algorithm {
        case .rsaSHA256: 2
        case .rsaSHA512: 4
        case .ed25519, .ecdsaP256, .ecdsaP384, .ecdsaP521, .skEd25519: 0
        }
    }

    /// Reads a message without its length.
    package init(message: [UInt8]) throws(KeyError) {
        var reader = ByteReader(message.span)
        let number = try KeyError.reading(reader.readByte())
        switch number {
        case Number.requestIdentities:
            self = .requestIdentities
        case Number.sign:
            let key = try KeyError.reading(reader.readString(max: FieldLimit.keyBlob))
            let data = try KeyError.reading(reader.readString(max: Self.bytesMax))
            self = .sign(key: key, data: data, flags: try KeyError.reading(reader.readUInt32()))
        case Number.add, Number.addConstrained:
            self = .add(try AgentIdentity(parsing: &reader, isConstrained: number == Number.addConstrained))
        case Number.remove:
            self = .remove(key: try KeyError.reading(reader.readString(max: FieldLimit.keyBlob)))
        case Number.removeAll:
            self = .removeAll
        default:
            self = .other(number)
            return
        }
        try KeyError.reading(reader.finish())
    }

    /// The message with its length before it.
    package func framed() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .requestIdentities:
            writer.writeByte(Number.requestIdentities)
        case .sign(let key, let data, let flags):
            writer.writeByte(Number.sign)
            writer.writeString(key)
            writer.writeString(data)
            writer.writeUInt32(flags)
        case .add(let identity):
            writer.writeByte(identity.isConstrained ? Number.addConstrained : Number.add)
            identity.write(to: &writer)
        case .remove(let key):
            writer.writeByte(Number.remove)
            writer.writeString(key)
        case .removeAll:
            writer.writeByte(Number.removeAll)
        case .other(let number):
            writer.writeByte(number)
        }
        return framedAgentMessage(writer.finish())
    }
}

/// A key that is given to an agent, alone or with its certificate, and how long the agent may keep and how use it.
package struct AgentIdentity: Sendable {
    package let key: PrivateKey
    package let certificate: Certificate?
    package let comment: String
    /// Seconds after which the agent forgets the key.
    package let lifetime: UInt32?
    /// The agent asks its user before each use.
    package let confirms: Bool

    var isConstrained: Bool { lifetime != nil || confirms }

    private enum Constraint {
        static let lifetime: UInt8 = 1
        static let confirm: UInt8 = 2
    }

    package init(key: PrivateKey, certificate: Certificate? = nil, comment: String, lifetime: UInt32? = nil, confirms: Bool = false) {
        self.key = key
        self.certificate = certificate
        self.comment = comment
        self.lifetime = lifetime
        self.confirms = confirms
    }

    init(parsing reader: inout ByteReader, isConstrained: Bool) throws(KeyError) {
        let name = try KeyError.reading(reader.readName())
        if KeyType(certificateName: name) != nil {
            let certificate = try Certificate(blob: try KeyError.reading(reader.readString(max: FieldLimit.keyBlob)))
            guard certificate.typeName == name else { throw .invalidKey }
            key = try PrivateKey(of: certificate.publicKey, privateFieldsFrom: &reader)
            self.certificate = certificate
        } else if let type = KeyType(rawValue: name) {
            key = try PrivateKey(type, fieldsFrom: &reader)
            certificate = nil
        } else {
            throw .unsupportedKeyType(name)
        }
        var lifetime: UInt32?
        var confirms = false
        comment = try KeyError.reading(reader.readMessage())
        while isConstrained, reader.remaining > 0 {
            switch try KeyError.reading(reader.readByte()) {
            case Constraint.lifetime: lifetime = try KeyError.reading(reader.readUInt32())
            case Constraint.confirm: confirms = true
            default: throw .malformed(.badValue("constraint"))
            }
        }
        self.lifetime = lifetime
        self.confirms = confirms
    }

    func write(to writer: inout ByteWriter) {
        if let certificate {
            writer.writeText(certificate.typeName)
            writer.writeString(certificate.blob)
            key.writePrivateFields(to: &writer, withPublicHalf: true)
        } else {
            writer.writeText(key.type.rawValue)
            key.writeFields(to: &writer)
        }
        writer.writeText(comment)
        if let lifetime {
            writer.writeByte(Constraint.lifetime)
            writer.writeUInt32(lifetime)
        }
        if confirms { writer.writeByte(Constraint.confirm) }
    }
}

/// What an agent answers (PROTOCOL.agent).
package enum AgentResponse: Equatable, Sendable {
    case failure
    case success
    case identities([Identity])
    /// A ``Signature`` blob.
    case signature([UInt8])
    case other(UInt8)

    package struct Identity: Equatable, Sendable {
        /// A ``PublicKey`` or ``Certificate`` blob, of any type.
        package let key: [UInt8]
        package let comment: String

        package init(key: [UInt8], comment: String) {
            self.key = key
            self.comment = comment
        }
    }

    /// As in OpenSSH's client.
    package static let identitiesMax = 2048

    private enum Number {
        static let failure: UInt8 = 5
        static let success: UInt8 = 6
        static let identities: UInt8 = 12
        static let signature: UInt8 = 14
    }

    /// Reads a message without its length.
    package init(message: [UInt8]) throws(WireError) {
        var reader = ByteReader(message.span)
        let number = try reader.readByte()
        switch number {
        case Number.failure:
            self = .failure
        case Number.success:
            self = .success
        case Number.identities:
            let count = try reader.readUInt32()
            guard count <= Self.identitiesMax else { throw .tooLong(Int(count)) }
            var identities: [Identity] = []
            for _ in 0..<count {
                identities.append(Identity(key: try reader.readString(max: FieldLimit.keyBlob), comment: try reader.readMessage()))
            }
            self = .identities(identities)
        case Number.signature:
            self = .signature(try reader.readString(max: FieldLimit.signature))
        default:
            self = .other(number)
            return
        }
        try reader.finish()
    }

    /// The message with its length before it.
    package func framed() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .failure:
            writer.writeByte(Number.failure)
        case .success:
            writer.writeByte(Number.success)
        case .identities(let identities):
            writer.writeByte(Number.identities)
            writer.writeUInt32(UInt32(identities.count))
            for identity in identities {
                writer.writeString(identity.key)
                writer.writeText(identity.comment)
            }
        case .signature(let blob):
            writer.writeByte(Number.signature)
            writer.writeString(blob)
        case .other(let number):
            writer.writeByte(number)
        }
        return framedAgentMessage(writer.finish())
    }
}

private func framedAgentMessage(_ message: [UInt8]) -> [UInt8] {
    var writer = ByteWriter(capacity: message.count + 4)
    writer.writeString(message)
    return writer.finish()
}
