package import Base
package import SSHWire

/// Why a connection ended: the peer's fault or the world's, never our own bug.
package struct SSHError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Layer: String, Sendable {
        case identification, transport, keyExchange, userAuth, connection
    }

    /// Each cause, with what the log should know about it.
    package enum Reason: Equatable, Sendable {
        // Identification (RFC 4253 §4.2)
        case identificationTooLong
        case identificationMalformed
        case versionNotSupported(String)

        // Packets (RFC 4253 §6)
        case packetLength(UInt32)
        case packetPadding(length: UInt32, padding: UInt8)
        case packetAuthentication
        case sequenceNumberWrapped
        case inputHeld(Int)

        // Any message
        case unexpectedMessage(UInt8, in: GatePhase)
        case malformedMessage(UInt8, WireError)
        case disconnectedByPeer(reason: DisconnectReason, message: String)

        // Key exchange (RFC 4253 §7)
        case noCommonAlgorithm(NegotiationField)
        case keyExchangeInitNotFirst
        case badKeyShare
        case hostKeyMalformed(KeyError)
        case hostKeySignature(KeyError)
        case hostKeyUnusable(KeyError)
        case hostKeyRefused(String)
        case keyExchangeTimeout
        case outputHeld(Int)

        // User authentication (RFC 4252)
        case serviceUnknown(String)
        case authenticationTimeout
        case authenticationAttempts(Int)
        case userChanged
        case credentialsExhausted(methodsThatCanContinue: [String])
        case keyQueryAnswered

        // Connection (RFC 4254)
        case channelUnknown(UInt32)
        case channelState(UInt8, channel: UInt32)
        case windowExceeded(channel: UInt32)
        case windowOverflow(channel: UInt32)
        case channelPacketTooLarge(channel: UInt32)
        /// A server of ours did not keep what ``FirstChannel`` says.
        case channelNotAsPromised(UInt32)
        case replyNotAsked(UInt8)
        case requestsUnanswered(Int)
    }

    package let reason: Reason

    package init(_ reason: Reason) {
        self.reason = reason
    }

    package var layer: Layer {
        switch reason {
        case .identificationTooLong, .identificationMalformed, .versionNotSupported:
            .identification
        case .packetLength, .packetPadding, .packetAuthentication, .sequenceNumberWrapped, .inputHeld, .unexpectedMessage,
            .malformedMessage,
            .disconnectedByPeer:
            .transport
        case .noCommonAlgorithm, .keyExchangeInitNotFirst, .badKeyShare, .hostKeyMalformed, .hostKeyUnusable, .hostKeySignature,
            .hostKeyRefused, .keyExchangeTimeout, .outputHeld:
            .keyExchange
        case .serviceUnknown, .authenticationTimeout, .authenticationAttempts, .userChanged, .credentialsExhausted, .keyQueryAnswered:
            .userAuth
        case .channelUnknown, .channelState, .windowExceeded, .windowOverflow, .channelPacketTooLarge,
            .channelNotAsPromised, .replyNotAsked, .requestsUnanswered:
            .connection
        }
    }

    /// The code of `SSH_MSG_DISCONNECT` (RFC 4253 §11.1); nil where nothing is to be said: the peer has left, or never spoke SSH.
    package var disconnectReason: DisconnectReason? {
        switch reason {
        case .identificationTooLong, .identificationMalformed, .disconnectedByPeer:
            nil
        case .versionNotSupported:
            .protocolVersionNotSupported
        case .packetAuthentication:
            .macError
        case .noCommonAlgorithm, .keyExchangeInitNotFirst, .badKeyShare, .hostKeyMalformed, .hostKeyUnusable, .keyExchangeTimeout,
            .outputHeld:
            .keyExchangeFailed
        case .hostKeySignature, .hostKeyRefused:
            .hostKeyNotVerifiable
        case .serviceUnknown:
            .serviceNotAvailable
        case .authenticationAttempts, .credentialsExhausted:
            .noMoreAuthMethodsAvailable
        case .authenticationTimeout, .inputHeld:
            .byApplication
        case .packetLength, .packetPadding, .sequenceNumberWrapped, .unexpectedMessage, .malformedMessage, .userChanged,
            .keyQueryAnswered, .channelUnknown, .channelState, .windowExceeded, .windowOverflow, .channelPacketTooLarge,
            .channelNotAsPromised, .replyNotAsked, .requestsUnanswered:
            .protocolError
        }
    }

    /// What the peer is told.
    package var peerText: String {
        switch reason {
        case .identificationTooLong, .identificationMalformed, .disconnectedByPeer: ""
        case .versionNotSupported: "protocol version not supported"
        case .packetAuthentication: "message authentication failed"
        case .noCommonAlgorithm(let field): "no common \(field.rawValue)"
        case .keyExchangeInitNotFirst, .badKeyShare, .hostKeyMalformed, .hostKeyUnusable: "key exchange failed"
        case .keyExchangeTimeout, .outputHeld: "key exchange not finished in time"
        case .hostKeySignature, .hostKeyRefused: "host key not verifiable"
        case .serviceUnknown: "service not available"
        case .authenticationAttempts: "too many authentication failures"
        case .credentialsExhausted: "no more authentication methods"
        case .authenticationTimeout: "authentication not finished in time"
        case .inputHeld: "too much input"
        case .packetLength, .packetPadding, .sequenceNumberWrapped, .unexpectedMessage, .malformedMessage, .userChanged,
            .keyQueryAnswered, .channelUnknown, .channelState, .windowExceeded, .windowOverflow, .channelPacketTooLarge,
            .channelNotAsPromised, .replyNotAsked, .requestsUnanswered:
            "protocol error"
        }
    }

    /// What the log says.
    package var description: String { "\(layer.rawValue): \(reason)" }
}
