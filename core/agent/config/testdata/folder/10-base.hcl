data_dir = "/d"
server { enabled = true, start_join = ["x"] }
client { servers = ["one"] }
log_level = "WARN"
plugin "p" {
 args = ["1"]
 config { a = 1 }
}
