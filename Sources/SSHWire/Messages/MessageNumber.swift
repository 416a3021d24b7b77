/// Every message number that we know (RFC 4250 §4.1.2, RFC 8308 §2.3).
///
/// Numbers 30-49 belong to the key exchange method and 60-79 to the authentication method; here they have the meaning of the methods that we offer.
package enum MessageNumber: UInt8, CaseIterable, Sendable {
    case disconnect = 1
    case ignore = 2
    case unimplemented = 3
    case debug = 4
    case serviceRequest = 5
    case serviceAccept = 6
    case extensionInfo = 7
    case keyExchangeInit = 20
    case newKeys = 21
    case keyExchangeECDHInit = 30
    case keyExchangeECDHReply = 31
    case userAuthRequest = 50
    case userAuthFailure = 51
    case userAuthSuccess = 52
    case userAuthBanner = 53
    case userAuthPublicKeyOK = 60
    case globalRequest = 80
    case requestSuccess = 81
    case requestFailure = 82
    case channelOpen = 90
    case channelOpenConfirmation = 91
    case channelOpenFailure = 92
    case channelWindowAdjust = 93
    case channelData = 94
    case channelExtendedData = 95
    case channelEOF = 96
    case channelClose = 97
    case channelRequest = 98
    case channelSuccess = 99
    case channelFailure = 100
}
