// Package watcher turns file-system noise into facts about files.
//
// Events are hints; stat and hash are the truth. A path that an event names is
// put into a set and looked at once the tree has been quiet for a while; what is
// then found on the disk is handed to a Recorder. Where events cannot be relied
// on (the queue overflowed, the kernel has no watches left, the root came back,
// an ignore file changed, the watcher has only just started) the Recorder is
// asked for a whole scan of the root instead.
//
// The law: when a root is quiet and every fact and scan request has been served,
// the recorded set of (path, sha256) equals that of the regular files on the disk
// which the rules do not ignore. A Recorder that fails for a while delays this
// and loses nothing.
//
// Two things are never done: a symbolic link is never followed, and nothing but
// a regular file is ever opened for reading (a FIFO would block, a device might
// act). A root that is missing is waited for; its files are not reported gone,
// because a disk that is not mounted looks the same as one that was emptied.
//
// Rules, strongest first: version control directories are never entered; then the
// patterns of the settings; then .htdagignore files, deeper ones first; then
// .gitignore files, deeper ones first, up to the border of their repository; then
// its .git/info/exclude; then the user's own list for git (core.excludesFile, or
// git/ignore where git looks by itself); then the built-in list (see builtins in ignore.go). As in
// git, nothing below an ignored directory can be included again.
package watcher
