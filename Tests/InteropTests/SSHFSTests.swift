import ClusterHarness
import EventLoop
import Testing

@Suite("sshfs", .needs(.sshfs), .enabled(if: Tool.canMount, "needs /dev/fuse and root, to mount"), .serialized, .timeLimit(.minutes(5)))
struct SSHFSTests {
    @Test(arguments: Path.allCases)
    func `a node's folder is mounted, and is a folder like any other`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = """
            mkdir $DIR/far $DIR/mnt && cd $DIR
            sshfs -F $CONFIG $NODE:$DIR/far $DIR/mnt
            trap 'cd /; fusermount3 -u $DIR/mnt' EXIT
            head -c 3M /dev/urandom >noise
            cp noise mnt/copy && cmp noise far/copy && cmp noise mnt/copy && echo same
            mkdir mnt/folder && mv mnt/copy 'mnt/folder/an odd ñame' && ln -s 'an odd ñame' mnt/folder/link && cmp mnt/folder/link noise && ls far/folder
            truncate -s 100 'mnt/folder/an odd ñame' && stat -c %s 'far/folder/an odd ñame'
            chmod 640 mnt/folder/link && touch -d '2001-02-03 04:05:06' mnt/folder/link && stat -Lc '%a %Y' far/folder/link
            rm -r mnt/folder && ls far | wc -l
            """
        let outcome = try await site.run(
            "/bin/bash", ["-ec", script],
            environment: ["CONFIG=\(site.sshConfig)", "NODE=\(path.host)", "DIR=\(try site.workspace())", "TZ=UTC"])
        #expect(
            outcome.exit == .status(0) && outcome.lines == ["same", "an odd ñame", "link", "100", "640 981173106", "0"], "\(outcome)")
    }
}
