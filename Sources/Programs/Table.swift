/// Aligned columns for people.
package struct Table: Sendable {
    private var rows: [[String]]

    package init(_ header: [String], rows: [[String]] = []) {
        self.rows = [header]
        for row in rows { add(row) }
    }

    package mutating func add(_ row: [String]) {
        precondition(row.count == rows[0].count, "a row of another width")
        rows.append(row.map(Table.printable))
    }

    /// The header, a rule and the rows, each line ended; no blanks at the end of a line.
    package var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in Self.line(row, widths) }
        lines.insert(Self.line(widths.map { String(repeating: "-", count: $0) }, widths), at: 1)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func line(_ cells: [String], _ widths: [Int]) -> String {
        var line = ""
        for (cell, width) in zip(cells, widths) {
            line += cell + String(repeating: " ", count: width - cell.count + 2)
        }
        while line.last == " " { line.removeLast() }
        return line
    }

    /// What a stranger named himself must not move a reader's cursor.
    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) ? "?" : $0 }))
    }
}
