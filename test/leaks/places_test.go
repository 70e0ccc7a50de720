package leaks_test

import "strings"

// allowed says where the canaries of a group may stand: where a caller's own data is kept, and where it is shown to whoever
// may read the task. Everything below a place is meant. A group that is not here is allowed nowhere, and no place is
// allowed for a secret.
var allowed = map[string][]string{
	inParams: {
		"database scheduled_tasks.params", "database scheduled_tasks.request_body", // what is sent, and sent again, byte by byte
		"database archived_tasks.document $.task.params", "database archived_tasks.document $.task.request_body",
		"answer $.params", "answer $.data[].params",
		"export $.params", "billctl tasks show: params", "billctl tasks show --json $.task.params",
	},
	inMetadata: {
		"database scheduled_tasks.metadata", "database archived_tasks.document $.task.metadata",
		"answer $.metadata", "answer $.data[].metadata",
		"export $.metadata", "billctl tasks show: metadata", "billctl tasks show --json $.task.metadata",
	},
	inName: {
		"database merchants.name", "answer $.name", "answer $.data[].name", "billctl merchants list", "billctl merchants show: name",
		"console /tasks", "console /tasks/{id}", "console /tasks/{id}/action", "console /attention",
		"console /merchants", "console /merchants/{id}", "console /merchants/{id}/action",
	},
	inNote: {
		"database task_resolutions.note", "database archived_tasks.document $.resolution.note",
		"answer $.resolution.note", "answer $.data[].resolution.note",
		"export $.resolution.note", "billctl tasks show: resolved", "billctl tasks show --json $.task.resolution.note",
		"console /tasks/{id}",
	},
	inKey: {"database task_keys.key", "database archived_tasks.document $.key"},
	inIntent: {
		"database scheduled_tasks.intent", "database archived_tasks.document $.task.intent", "database archived_tasks.intent",
		"answer $.intent", "answer $.data[].intent",
		"export $.intent", "billctl tasks show: intent", "billctl tasks show --json $.task.intent",
		"console /tasks/{id}",
	},
	inReason: {
		"database audit_log.detail $.reason", "answer $.data[].detail.reason",
		"console /audit", "console /tasks/{id}", "console /merchants/{id}",
	},
	inPointer: {"answer $.errors[].pointer"},
}

// allowedPlace returns what allows a canary of the group at a place, "" if nothing does.
func allowedPlace(group, place string) string {
	for _, one := range allowed[group] {
		if rest, ok := strings.CutPrefix(place, one); ok && (rest == "" || strings.ContainsRune(" .[", rune(rest[0]))) {
			return one
		}
	}
	return ""
}
