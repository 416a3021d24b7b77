/// Which parts of a file are under way: as many as a long line holds, in pieces that a server takes.
///
/// For reading. The size that a server names is only a hint: the file is whole when a read says so.
package struct SFTPReadPlan: Sendable {
    package struct Piece: Hashable, Sendable {
        package let offset: UInt64
        package let count: UInt32
    }

    private let pieceBytes: UInt32
    private let piecesMax: Int
    private var next: UInt64
    private var again: [Piece] = []
    private var underWay: Set<Piece> = []
    /// Reads at or behind it have ended with the end of the file.
    private var end: UInt64?
    /// Reads beyond it go one at a time: most files end where they were said to.
    private let expectedEnd: UInt64

    /// - Parameters:
    ///   - offset: where to begin.
    ///   - size: as the server said, or nil.
    ///   - piecesMax: 64 pieces of 32 KiB are 2 MiB: 160 Mbit/s at 100 ms.
    package init(from offset: UInt64, size: UInt64?, pieceBytes: UInt32, piecesMax: Int = 64) {
        next = offset
        self.pieceBytes = pieceBytes
        self.piecesMax = piecesMax
        expectedEnd = size ?? offset
    }

    package var isDone: Bool { end != nil && underWay.isEmpty && again.isEmpty }

    /// The next piece to ask for; nil: nothing more now.
    package mutating func ask() -> Piece? {
        guard underWay.count < piecesMax else { return nil }
        if let piece = again.popLast() {
            underWay.insert(piece)
            return piece
        }
        guard end == nil, next < expectedEnd || underWay.isEmpty else { return nil }
        let piece = Piece(offset: next, count: pieceBytes)
        underWay.insert(piece)
        next += UInt64(pieceBytes)
        return piece
    }

    /// A piece came with `count` bytes. What is missing of it is asked for again.
    ///
    /// - Returns: false where the server sent more than was asked for, or nothing.
    package mutating func received(_ piece: Piece, count: Int) -> Bool {
        precondition(underWay.remove(piece) != nil, "a piece comes once")
        guard count > 0, count <= piece.count else { return false }
        if count < piece.count { again.append(Piece(offset: piece.offset + UInt64(count), count: piece.count - UInt32(count))) }
        return true
    }

    /// The file ends at or before this piece.
    package mutating func ended(_ piece: Piece) {
        precondition(underWay.remove(piece) != nil, "a piece comes once")
        end = min(end ?? piece.offset, piece.offset)
        // What lies behind the end is not asked for again.
        let end = end ?? 0
        again.removeAll { $0.offset >= end }
    }
}
