/// Where a peer is in the protocol, as far as it decides what may come from it next.
package enum GatePhase: String, CaseIterable, Sendable {
    /// The first key exchange: nothing but KEXINIT has a meaning yet.
    case firstInit
    /// The peer's KEXINIT has come; its key share is next.
    case firstReply
    case firstNewKeys
    /// Keys are there; the service request or its answer is next.
    case service
    case userAuth
    case connection
    /// As the first three, after the first exchange. A peer that has sent KEXINIT is to send no other layer's messages until its NEWKEYS
    /// (RFC 4253 §7.1). Those of the connection are taken all the same, as OpenSSH takes them: they come under the old keys, some clients
    /// (asyncssh) send them, and what we say to them waits, within a bound.
    case rekeyReply
    case rekeyNewKeys

    var isFirstKeyExchange: Bool {
        switch self {
        case .firstInit, .firstReply, .firstNewKeys: true
        case .service, .userAuth, .connection, .rekeyReply, .rekeyNewKeys: false
        }
    }

    var isKeyExchange: Bool {
        switch self {
        case .firstInit, .firstReply, .firstNewKeys, .rekeyReply, .rekeyNewKeys: true
        case .service, .userAuth, .connection: false
        }
    }
}

package enum EngineRole: String, CaseIterable, Sendable {
    case client, server

    var peer: EngineRole {
        switch self {
        case .client: .server
        case .server: .client
        }
    }
}

/// Which message may come when: one table (RFC 4253 §7.1, RFC 4252 §5, PROTOCOL "strict key exchange").
///
/// Numbers without a row are unknown: answered with `SSH_MSG_UNIMPLEMENTED` outside key exchanges, refused within.
enum MessageGate {
    enum Verdict: Equatable, Sendable {
        case accept
        case ignore
        case unimplemented
        case violation
    }

    struct Row: Sendable {
        let numbers: ClosedRange<UInt8>
        /// Who may send it.
        let senders: [EngineRole]
        let accepted: [GatePhase]
        var ignored: [GatePhase] = []
        /// Whether strict key exchange forbids it during the first exchange.
        var isForbiddenByStrict = false
    }

    private static let both: [EngineRole] = [.client, .server]

    static let rows: [Row] = [
        /* DISCONNECT          */ Row(numbers: 1...1, senders: both, accepted: GatePhase.allCases),
        /* IGNORE … DEBUG      */ Row(numbers: 2...4, senders: both, accepted: [], ignored: GatePhase.allCases, isForbiddenByStrict: true),
        /* SERVICE_REQUEST     */ Row(numbers: 5...5, senders: [.client], accepted: [.service]),
        /* SERVICE_ACCEPT      */ Row(numbers: 6...6, senders: [.server], accepted: [.service]),
        /* EXT_INFO, client's  */ Row(numbers: 7...7, senders: [.client], accepted: [.service]),
        /* EXT_INFO, server's  */ Row(numbers: 7...7, senders: [.server], accepted: [.service, .userAuth]),
        /* KEXINIT             */ Row(numbers: 20...20, senders: both, accepted: [.firstInit, .connection]),
        /* NEWKEYS             */ Row(numbers: 21...21, senders: both, accepted: [.firstNewKeys, .rekeyNewKeys]),
        /* KEX_ECDH_INIT       */ Row(numbers: 30...30, senders: [.client], accepted: [.firstReply, .rekeyReply]),
        /* KEX_ECDH_REPLY      */ Row(numbers: 31...31, senders: [.server], accepted: [.firstReply, .rekeyReply]),
        /* other methods'      */ Row(numbers: 32...49, senders: [], accepted: []),
        /* USERAUTH_REQUEST    */ Row(numbers: 50...50, senders: [.client], accepted: [.userAuth], ignored: [.connection]),
        /* USERAUTH_FAILURE …  */ Row(numbers: 51...53, senders: [.server], accepted: [.userAuth]),
        /* USERAUTH_PK_OK      */ Row(numbers: 60...60, senders: [.server], accepted: [.userAuth]),
        /* GLOBAL_REQUEST …    */ Row(numbers: 80...82, senders: both, accepted: [.connection, .rekeyReply, .rekeyNewKeys]),
        /* CHANNEL_OPEN …      */ Row(numbers: 90...100, senders: both, accepted: [.connection, .rekeyReply, .rekeyNewKeys]),
    ]

    static func verdict(_ number: UInt8, from sender: EngineRole, in phase: GatePhase, isStrict: Bool) -> Verdict {
        // The row that nearly every packet meets, before the search.
        if phase == .connection, (90...100).contains(number) { return .accept }
        var isKnown = false
        for row in rows where row.numbers.contains(number) {
            isKnown = true
            guard row.senders.contains(sender) else { continue }
            if row.isForbiddenByStrict, isStrict, phase.isFirstKeyExchange { return .violation }
            if row.accepted.contains(phase) { return .accept }
            if row.ignored.contains(phase) { return .ignore }
        }
        return isKnown || phase.isKeyExchange ? .violation : .unimplemented
    }
}
