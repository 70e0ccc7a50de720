package store

// A claim is one statement, made of these parts. There are four of it: without merchant limits; with them; with them, passing over
// merchants that have a lane; and from the lanes.
//
// Three sorts of due tasks are put aside instead of claimed, so that they neither cost anything more nor stand in front of others:
//
//   - Those of a merchant that is paused or disconnected. Resuming the merchant brings them back, and a quarter of an hour
//     does at the latest.
//   - Those whose object is taken: a task with the same merchant and target may have reached Stripe and its outcome is not
//     known, or one that is to go first waits already. The settlement that frees the object brings the first one back; each
//     also looks again by itself, after as long as it has waited so far, because the two statements may cross.
//   - Those beyond their merchant's limits. They are parked in the merchant's lane, once, and taken from there in order.
//
// scheduled_tasks_one_per_object holds the second rule against claims that run at the same moment, the lock on the merchant's pace
// the third. Tasks are locked first and never waited for, paces are locked in the order of merchants: no two claims can deadlock. (A
// claim and a settlement can, over an object; both are tried again.)
//
// first_sent_at, and as whom the task is sent, are durable before the caller learns of the claim. A claim that finds them
// set already is a re-send: the first values stay. Ages count the hours that a clock stepped back has shown twice, those too that
// no heartbeat has noted yet.
const (
	// dueSince are due tasks in the order of run_at, from a watermark on.
	dueSince = `
WITH due AS MATERIALIZED (
	SELECT id, merchant_id, target, run_at, scheduled_for, first_sent_at
	FROM scheduled_tasks
	WHERE status = 'pending' AND run_at <= now() AND run_at >= `
	// passingOver leaves out those of merchants that have a lane: they have their turn there.
	passingOver = `
		AND merchant_id <> ALL (ARRAY(SELECT merchant_id FROM merchant_pace WHERE parked_at IS NOT NULL LIMIT 200))`
	inOrder = `
	ORDER BY run_at
	LIMIT $2
	FOR UPDATE SKIP LOCKED
)`

	// dueLanes are the lanes that may go on, and what may be taken from each, oldest first; re-sends before everything else.
	dueLanes = `
WITH pace AS MATERIALIZED (
	SELECT p.merchant_id, CASE WHEN m.paused_at IS NOT NULL OR m.disconnected_at IS NOT NULL THEN $2 ELSE ` + allowed + ` END AS allowed
	FROM merchant_pace AS p JOIN merchants AS m ON m.id = p.merchant_id
	WHERE p.parked_at IS NOT NULL AND p.ready_at <= now()
	ORDER BY p.ready_at
	LIMIT 100
	FOR UPDATE OF p SKIP LOCKED
), due AS MATERIALIZED (
	SELECT t.id, t.merchant_id, t.target, t.run_at, t.scheduled_for, t.first_sent_at
	FROM pace CROSS JOIN LATERAL (
		SELECT id, merchant_id, target, parked_at AS run_at, scheduled_for, first_sent_at
		FROM scheduled_tasks
		WHERE merchant_id = pace.merchant_id AND parked_at IS NOT NULL AND scheduled_for <= now()
		ORDER BY first_sent_at IS NULL, scheduled_for, id
		LIMIT least(pace.allowed, $2)
		FOR UPDATE SKIP LOCKED
	) AS t
	LIMIT $2
)`

	// judging decides what cannot go now for other reasons than limits.
	judging = `, rivals AS MATERIALIZED (
	SELECT id, merchant_id, target, scheduled_for, first_sent_at,
		row_number() OVER (PARTITION BY target, merchant_id ORDER BY first_sent_at IS NULL, scheduled_for, id) AS place
	FROM due
	WHERE target <> ''
), blocked AS MATERIALIZED (
	SELECT r.id
	FROM rivals AS r
	WHERE r.first_sent_at IS NULL AND (
		r.place > 1
		OR (SELECT 1 FROM scheduled_tasks AS o
			WHERE o.target = r.target AND o.merchant_id = r.merchant_id
				AND o.target <> '' AND o.first_sent_at IS NOT NULL AND o.finished_at IS NULL
			LIMIT 1) IS NOT NULL -- an EXISTS may be planned as a walk over the whole index
		OR ` + anyWaiting + ` AND (SELECT 1 FROM scheduled_tasks AS o
			WHERE o.target = r.target AND o.merchant_id = r.merchant_id
				AND o.waiting_since IS NOT NULL AND (o.scheduled_for, o.id) < (r.scheduled_for, r.id)
			LIMIT 1) IS NOT NULL)
)`

	// judged are the due tasks with what was decided about each.
	judged = `
	SELECT due.id, due.merchant_id, due.run_at, due.first_sent_at, m.stripe_connect_id, m.xmin AS version,
		CASE WHEN m.access_token IS NULL THEN 'platform' ELSE 'token' END AS auth,
		m.paused_at IS NOT NULL OR m.disconnected_at IS NOT NULL AS held,
		due.target <> '' AND due.id IN (SELECT id FROM blocked) AS blocked, false AS surplus
	FROM due JOIN merchants AS m ON m.id = due.merchant_id`

	// anyWaiting is asked once per statement and spares a look for each task: as a rule nothing waits for its object.
	anyWaiting = `(SELECT true FROM scheduled_tasks WHERE waiting_since IS NOT NULL LIMIT 1)`

	// unlimited lets every task go as far as limits are concerned.
	unlimited = `, turned AS MATERIALIZED (` + judged + `
)`

	// limiting locks the paces of the merchants and lets as many tasks of each go as it allows: none while it has a lane. The pace of a
	// lane that cannot be thought empty for a while yet is neither locked nor written: parking a backlog would keep the lane from going on.
	limiting = `, judged AS MATERIALIZED (` + judged + `
), pace AS MATERIALIZED (
	SELECT p.merchant_id, CASE WHEN p.parked_at IS NULL THEN ` + allowed + ` ELSE 0 END AS allowed
	FROM merchant_pace AS p
	WHERE p.merchant_id IN (SELECT merchant_id FROM due) AND ` + settled + ` IS NOT TRUE
	ORDER BY p.merchant_id
	FOR UPDATE
), allowance AS MATERIALIZED (
	SELECT jsonb_object_agg(merchant_id, allowed) AS by_merchant FROM pace
), turned AS MATERIALIZED (
	SELECT id, merchant_id, run_at, first_sent_at, stripe_connect_id, version, auth, held, blocked,
		NOT held AND NOT blocked AND coalesce(((SELECT by_merchant FROM allowance) ->> merchant_id::text)::bigint,
			CASE WHEN (SELECT 1 FROM merchant_pace AS p WHERE p.merchant_id = judged.merchant_id) IS NULL THEN 1000000 ELSE 0 END) < row_number() OVER (
			PARTITION BY merchant_id, held OR blocked ORDER BY first_sent_at IS NULL, run_at, id) AS surplus
	FROM judged
), ` + tallied + `counted AS MATERIALIZED (
	SELECT t.merchant_id, t.going, t.surplus, t.found, false AS nothing
	FROM pace JOIN tallied AS t ON t.merchant_id = pace.merchant_id -- locked, in order, before anything is written
), ` + moving

	// fromLanes takes what the lanes allow; they were locked when they were read.
	fromLanes = unlimited + `, ` + tallied + `counted AS MATERIALIZED (
	SELECT pace.merchant_id, coalesce(t.going, 0) AS going, 0 AS surplus, coalesce(t.found, 0) AS found,
		t.found IS NULL AND pace.allowed > 0 AND (SELECT count(*) FROM due) < $2 AS nothing
	FROM pace LEFT JOIN tallied AS t ON t.merchant_id = pace.merchant_id
), ` + moving

	// moving moves the paces on. A lane is thought empty when nothing is found in it long after the last task was parked: a claim that
	// parks at this moment may not be seen here.
	moving = `moved AS (
	UPDATE merchant_pace AS p
	SET next_at = CASE WHEN $3::float8 > 0 AND c.going > 0
			THEN greatest(p.next_at, now()) + c.going * make_interval(secs => ` + spacing + `) ELSE p.next_at END,
		in_flight = p.in_flight + CASE WHEN $4::int > 0 THEN c.going ELSE 0 END,
		parked_at = CASE WHEN c.surplus > 0 THEN now() WHEN c.nothing AND p.parked_at < now() - interval '15 seconds' THEN NULL
			ELSE p.parked_at END,
		ready_at = CASE WHEN c.surplus = 0 AND (p.parked_at IS NULL OR c.nothing AND p.parked_at < now() - interval '15 seconds') THEN NULL
			WHEN $4::int > 0 AND p.in_flight + c.going >= $4::int THEN now() + interval '1 second' -- a settlement makes it sooner
			WHEN c.found = 0 THEN greatest(p.next_at - ` + lead + `, now() + interval '250 milliseconds')
			ELSE greatest(greatest(p.next_at, now()) + c.going * make_interval(secs => CASE WHEN $3::float8 > 0 THEN ` + spacing + ` ELSE 0 END)
				- ` + lead + `, now() + interval '1 millisecond') END
	FROM counted AS c
	WHERE p.merchant_id = c.merchant_id
		AND (c.going > 0 OR c.surplus > 0 OR p.parked_at IS NOT NULL AND p.ready_at <= now())
)`
	// settled: the merchant has a lane that nobody thinks empty for thirteen more seconds, longer than a claim may take, and that goes on
	// in time without being told.
	settled = `(p.parked_at >= now() - interval '2 seconds'
		AND (p.ready_at <= greatest(p.next_at, now()) OR $4::int > 0 AND p.in_flight >= $4::int))`
	tallied = `tallied AS MATERIALIZED (
	SELECT merchant_id, count(*) FILTER (WHERE NOT held AND NOT blocked AND NOT surplus) AS going,
		count(*) FILTER (WHERE surplus) AS surplus, count(*) AS found
	FROM turned
	GROUP BY merchant_id
), `

	// spacing is the time between two calls of a merchant, in seconds: by its rate, and longer for a while after Stripe said that it was
	// too much. What Stripe said wears off within a few minutes.
	spacing = `(1 + (p.slowdown - 1) * CASE WHEN p.slowed_at = '-infinity' THEN 0
		ELSE exp(least(greatest(date_part('epoch', p.slowed_at - now()), -3600), 0) / 60) END) / $3::float8`

	// tolerance is how far ahead of its time a call may begin, in seconds. In any second a merchant may then have as many calls as fit
	// into 1.025 seconds, and as many as the way to Stripe brings together.
	tolerance = `0.025`
	// lead is how far ahead of the next call a lane goes on: less than tolerance, or nothing would be allowed then, and enough for a claim
	// that comes late to waste nothing.
	lead = `interval '20 milliseconds'`

	// allowed is how many calls of a merchant may begin now (GCRA).
	allowed = `greatest(0, least(
		CASE WHEN $3::float8 > 0 THEN floor(1 + (` + tolerance + ` - date_part('epoch', greatest(p.next_at, now()) - now())) / (` + spacing + `)) ELSE 1000000 END,
		CASE WHEN $4::int > 0 THEN $4::int - p.in_flight ELSE 1000000 END))::bigint`

	// What follows, going in parts, writes what was decided and returns it. The first row is about the claim itself and has no id: attempt is the number of due
	// tasks seen, released that of tasks parked, lag the seconds until the next task is due, since_sent those until the next lane may go
	// on, claimed_at the database's time, watermark the one for the next claim.
	goingFirst = `, put_aside AS (
	UPDATE scheduled_tasks AS t
	SET held_at = CASE WHEN j.held THEN now() END,
		parked_at = CASE WHEN j.surplus THEN now() END,
		waiting_since = CASE WHEN j.held THEN t.waiting_since WHEN j.blocked THEN coalesce(t.waiting_since, now()) END,
		run_at = now() + CASE WHEN j.held THEN interval '15 minutes' WHEN j.surplus THEN interval '1 hour'
			ELSE least(greatest(now() - t.waiting_since, interval '2 seconds'), interval '15 minutes') END,
		updated_at = now()
	FROM turned AS j
	WHERE t.id = j.id AND (j.held OR j.blocked OR j.surplus)
), behind AS MATERIALIZED (
	SELECT CASE WHEN high_water > now() THEN high_water - now() ELSE '0' END AS unnoted,
		(SELECT true FROM clock_steps LIMIT 1) AS stepped
	FROM clock
), claimed AS (
	UPDATE scheduled_tasks AS t
	SET status = 'running', attempt = t.attempt + 1, worker_id = $1, claimed_at = now(), held_at = NULL, waiting_since = NULL,
		run_at = coalesce(t.parked_at, t.run_at), parked_at = NULL, -- what was shown while it was parked
		first_sent_at = coalesce(t.first_sent_at, now()),
		sent_auth = coalesce(t.sent_auth, j.auth),
		sent_account = coalesce(t.sent_account, j.stripe_connect_id),
		updated_at = now()
	FROM turned AS j
	WHERE t.id = j.id AND NOT j.held AND NOT j.blocked AND NOT j.surplus
	RETURNING t.id, t.merchant_id, t.kind, t.target, t.request_method, t.request_path, t.request_body, t.request_version,
		t.request_hash, t.attempt, t.max_attempts, t.released, t.sent_auth, t.sent_account, t.on_decline, t.declines,
		j.version, date_part('epoch', now() - j.run_at) AS lag, j.first_sent_at, t.scheduled_for, t.looks, t.run_at`
	goingHead = `
)` + tell + `claimed` + telling + `(
		SELECT id, merchant_id, kind, target, 'running' AS status, attempt - released - looks AS attempt, run_at FROM claimed
	) AS claimed` + toldAll + `
SELECT NULL::uuid AS id, NULL::uuid AS merchant_id, '' AS kind, '' AS target, '' AS request_method, '' AS request_path,
	'' AS request_body, '' AS request_version, ''::bytea AS request_hash,
	(SELECT count(*) FROM due)::integer AS attempt, 0 AS max_attempts,
	(SELECT count(*) FROM turned WHERE surplus)::integer AS released, '' AS sent_auth, '' AS sent_account,
	NULL::jsonb AS on_decline, 0 AS declines, NULL::xid AS version,
	CASE WHEN (SELECT count(*) FROM due) < $2 THEN (
		SELECT date_part('epoch', min(run_at) - now()) FROM scheduled_tasks WHERE status = 'pending' AND run_at > now()) END AS lag,
	(SELECT date_part('epoch', min(ready_at) - now()) FROM merchant_pace WHERE parked_at IS NOT NULL) AS since_sent,
	NULL::float8 AS late, now() AS claimed_at,
	least((SELECT min(run_at) FROM due), now() - interval '2 seconds') AS watermark`
	goingTasks = `
UNION ALL
SELECT id, merchant_id, kind, target, request_method, request_path, request_body, request_version, request_hash, attempt,
	max_attempts, released, sent_auth, sent_account, on_decline, declines, version, lag,
	CASE WHEN first_sent_at IS NOT NULL THEN date_part('epoch', now() - first_sent_at + (SELECT unnoted FROM behind)
		+ CASE WHEN (SELECT stepped FROM behind)
			THEN coalesce((SELECT sum(back) FROM clock_steps WHERE high_water >= first_sent_at), '0') ELSE '0' END) END,
	date_part('epoch', now() - scheduled_for + (SELECT unnoted FROM behind)
		+ CASE WHEN (SELECT stepped FROM behind)
			THEN coalesce((SELECT sum(back) FROM clock_steps WHERE high_water >= scheduled_for), '0') ELSE '0' END),
	NULL, NULL`
	goingEnd = `
FROM claimed`

	going = goingFirst + goingHead + goingTasks + goingEnd
	// goingTraced returns a column more: what is stored of the requests that scheduled the tasks.
	goingTraced = goingFirst + `, t.trace_context` + goingHead + `, NULL::text AS trace_context` + goingTasks + `, trace_context` + goingEnd
)

// claimQueries are the claims, which end as given: with going or goingTraced.
func claimQueries(going string) [claimWays]string {
	return [claimWays]string{
		// Parameters: the worker, how many, the watermark.
		claimDue: dueSince + `$3::timestamptz` + inOrder + judging + unlimited + going,
		// Parameters: the worker, how many, the rate, the concurrency, the watermark.
		claimWithLimits: dueSince + `$5::timestamptz` + inOrder + judging + limiting + going,
		claimPassingBy:  dueSince + `$5::timestamptz` + passingOver + inOrder + judging + limiting + going,
		// Parameters: the worker, how many, the rate, the concurrency.
		claimFromLanes: dueLanes + judging + fromLanes + going,
	}
}
