package import Base

/// `SSH_MSG_USERAUTH_REQUEST` (RFC 4252 §5, §7).
package struct UserAuthRequestMessage: SSHMessage {
    package static let number = MessageNumber.userAuthRequest

    package enum Method: Equatable, Sendable {
        case none
        case publicKey(PublicKeyAuth)
        /// Any other method's name; its fields are not looked at.
        case other(String)
    }

    /// The fields of method `publickey` (RFC 4252 §7).
    package struct PublicKeyAuth: Equatable, Sendable {
        /// The public key algorithm's name, as it came: it is signed.
        package var algorithm: String
        /// A ``PublicKey`` or ``Certificate`` blob, as it came.
        package var key: [UInt8]
        /// A ``Signature`` blob; nil in a query that asks whether the key would do.
        package var signature: [UInt8]?

        package init(algorithm: String, key: [UInt8], signature: [UInt8]?) {
            self.algorithm = algorithm
            self.key = key
            self.signature = signature
        }
    }

    package var user: String
    package var service: String
    package var method: Method

    package init(user: String, service: String = ServiceName.connection, method: Method) {
        self.user = user
        self.service = service
        self.method = method
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        user = try reader.readPlainText(max: FieldLimit.user)
        service = try reader.readName()
        let name = try reader.readName()
        switch name {
        case "none":
            method = .none
        case "publickey":
            let isSigned = try reader.readBoolean()
            let algorithm = try reader.readName()
            let key = try reader.readString(max: FieldLimit.keyBlob)
            let signature = isSigned ? try reader.readString(max: FieldLimit.signature) : nil
            method = .publicKey(PublicKeyAuth(algorithm: algorithm, key: key, signature: signature))
        default:
            method = .other(name)
            _ = try reader.readSpan(count: reader.remaining)
        }
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(user)
        writer.writeText(service)
        switch method {
        case .none:
            writer.writeText("none")
        case .publicKey(let attempt):
            writer.writeText("publickey")
            writer.writeBoolean(attempt.signature != nil)
            writer.writeText(attempt.algorithm)
            writer.writeString(attempt.key)
            if let signature = attempt.signature { writer.writeString(signature) }
        case .other(let name):
            writer.writeText(name)
        }
    }

    /// What a `publickey` signature is over (RFC 4252 §7): the session identifier, then this request up to the key, as if signed.
    package static func signedData(
        sessionIdentifier: [UInt8], user: String, service: String, algorithm: String, key: [UInt8]
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 256 + key.count)
        writer.writeString(sessionIdentifier)
        writer.writeByte(number.rawValue)
        writer.writeText(user)
        writer.writeText(service)
        writer.writeText("publickey")
        writer.writeBoolean(true)
        writer.writeText(algorithm)
        writer.writeString(key)
        return writer.finish()
    }
}

/// `SSH_MSG_USERAUTH_FAILURE` (RFC 4252 §5.1).
package struct UserAuthFailureMessage: SSHMessage {
    package static let number = MessageNumber.userAuthFailure
    package var methodsThatCanContinue: [String]
    package var partialSuccess: Bool

    package init(methodsThatCanContinue: [String], partialSuccess: Bool = false) {
        self.methodsThatCanContinue = methodsThatCanContinue
        self.partialSuccess = partialSuccess
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        methodsThatCanContinue = try reader.readNameList(max: 64)
        partialSuccess = try reader.readBoolean()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeNameList(methodsThatCanContinue)
        writer.writeBoolean(partialSuccess)
    }
}

/// `SSH_MSG_USERAUTH_SUCCESS` (RFC 4252 §5.1).
package struct UserAuthSuccessMessage: SSHMessage {
    package static let number = MessageNumber.userAuthSuccess
    package init() {}
    package init(parsing reader: inout ByteReader) throws(WireError) {}
    package func write(to writer: inout ByteWriter) {}
}

/// `SSH_MSG_USERAUTH_BANNER` (RFC 4252 §5.4). Who shows it must filter control characters.
package struct UserAuthBannerMessage: SSHMessage {
    package static let number = MessageNumber.userAuthBanner
    package var message: String

    package init(message: String) {
        self.message = message
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        message = try reader.readMessage(max: FieldLimit.banner)
        try reader.skipLanguageTag()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(message)
        writer.writeLanguageTag()
    }
}

/// `SSH_MSG_USERAUTH_PK_OK` (RFC 4252 §7).
package struct UserAuthPublicKeyOKMessage: SSHMessage {
    package static let number = MessageNumber.userAuthPublicKeyOK
    package var algorithm: String
    package var key: [UInt8]

    package init(algorithm: String, key: [UInt8]) {
        self.algorithm = algorithm
        self.key = key
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        algorithm = try reader.readName()
        key = try reader.readString(max: FieldLimit.keyBlob)
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(algorithm)
        writer.writeString(key)
    }
}
