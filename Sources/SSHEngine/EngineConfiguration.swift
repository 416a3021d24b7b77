package import SSHWire

/// What an engine is to do; one value serves any number of connections.
package struct EngineConfiguration: Sendable {
    package enum Role: Sendable {
        case client(ClientOptions)
        case server(ServerOptions)
    }

    /// How the version line of every server of ours begins, behind `SSH-2.0-`.
    package static let product = "Teleport"

    package var role: Role
    /// What follows `SSH-2.0-` in our version line (RFC 4253 §4.2).
    package var softwareVersion = product
    package var algorithms = AlgorithmPreferences()
    package var rekey = RekeyLimits()
    package var limits = EngineLimits()

    package init(role: Role) {
        self.role = role
    }
}

/// What only a server has.
package struct ServerOptions: Sendable {
    package var hostKeys: [HostKey]
    /// Shown before authentication (RFC 4252 §5.4); empty for none.
    package var banner = ""
    /// Reads the client's KEXINIT before sending ours, and puts forward of both what we like best: a stock `ssh` asks for
    /// chacha20-poly1305 first, AES-GCM is faster where the processor helps.
    package var prefersOwnOrder = true

    package init(hostKeys: [HostKey]) {
        self.hostKeys = hostKeys
    }
}

/// A key that a server proves itself with, and the certificate over it.
package struct HostKey: Sendable {
    package let key: any SigningKey
    package let certificate: Certificate?

    package init(key: any SigningKey, certificate: Certificate?) {
        self.key = key
        self.certificate = certificate
    }
}

/// What only a client has.
package struct ClientOptions: Sendable {
    package var user: String
    /// Tried in this order; each is signed with at once, without asking first whether it would do.
    package var credentials: [UserCredential]
    /// Whether to send a guessed key share behind the first KEXINIT, and to a server of ours what follows the login right behind it.
    package var goesAhead = false

    package init(user: String, credentials: [UserCredential]) {
        self.user = user
        self.credentials = credentials
    }
}

/// A key to log in with: its public half or the certificate over it, and who signs.
package struct UserCredential: Sendable {
    package enum Signer: Sendable {
        case key(any SigningKey)
        /// Somebody else holds the key: the engine asks with ``EngineEvent/signatureWanted(_:_:)``.
        case external
    }

    package let identity: KeyIdentity
    package let signer: Signer

    package init(identity: KeyIdentity, signer: Signer) {
        self.identity = identity
        self.signer = signer
    }
}

/// The names that we offer, best first.
package struct AlgorithmPreferences: Sendable {
    package var keyExchange = AlgorithmNames.keyExchange
    /// As a client, what we accept; a server offers what its keys can do.
    package var hostKey = AlgorithmNames.clientHostKeys
    package var cipher = AlgorithmNames.ciphers
    package var mac = AlgorithmNames.macs

    package init() {}
}

/// When keys are exchanged anew, whichever comes first.
package struct RekeyLimits: Sendable {
    /// In one direction. RFC 4253 §9 recommends 1 GiB.
    package var bytesMax: UInt64 = 1 << 30
    /// In one direction: far below the 2^32 at which a sequence number repeats (RFC 4344 §3.1).
    package var packetsMax: UInt64 = 1 << 31
    package var intervalMax: Duration = .seconds(3600)

    package init() {}
}

/// The bounds of what one peer can make us hold.
package struct EngineLimits: Sendable {
    /// A user's whole time from the connection to a successful login; a client's too.
    package var authenticationTimeMax: Duration = .seconds(120)
    /// How long a peer may leave a rekey unfinished while our output waits.
    package var keyExchangeTimeMax: Duration = .seconds(60)
    /// Failed requests before a disconnect (RFC 4252 §4 recommends 20; OpenSSH has 6).
    package var authenticationAttemptsMax = 6
    package var channelsMax = 1024
    /// What we let a peer send on a channel before we have consumed it, at most.
    package var windowBytes: UInt32 = 2 << 20
    /// The same of a channel that is new: the window doubles as often as we have consumed half of it, so that a channel which nobody has begun to read
    /// holds little.
    package var windowBytesFirst: UInt32 = 128 << 10
    /// What all windows of a connection together may be; each takes a part of what is left, so that a few channels have the most and a thousand that
    /// nobody reads hold no more than this and the least of each.
    package var windowBytesTotal = 512 << 20
    package var windowBytesMin: UInt32 = 64 << 10
    package var packetBytesMax: UInt32 = 32 << 10
    /// Data that waits on one channel for window or keys before ``SSHEngine/isWritable(_:)`` says no.
    package var queuedBytesHigh = 128 << 10
    package var queuedBytesLow = 32 << 10
    /// Requests of a peer that wait for our reply, on one channel and for the connection.
    package var unansweredRequestsMax = 256

    package init() {}
}
