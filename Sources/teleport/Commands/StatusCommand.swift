import ArgumentParser
import EventLoop
import Programs

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Says, inside a session, where it is.", discussion: "Example: teleport status")
    @OptionGroup var debugging: DebugOption

    func run() {
        guard let session = ProcessEnvironment.value("SSH_SESSION_ID"), let cluster = ProcessEnvironment.value("SSH_TELEPORT_CLUSTER_NAME")
        else {
            print("You are not inside a Teleport session.")
            return
        }
        print("User:     \(ProcessEnvironment.value("SSH_TELEPORT_USER") ?? "")")
        print("Cluster:  \(cluster)")
        print("Node:     \(ProcessEnvironment.value("SSH_TELEPORT_HOST_UUID") ?? "")")
        print("Session:  \(session)")
    }
}
