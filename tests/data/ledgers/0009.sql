BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0009');
CREATE TABLE approvals (
	number INTEGER NOT NULL, 
	incident TEXT NOT NULL, 
	path TEXT NOT NULL, 
	question TEXT NOT NULL, 
	"plan" TEXT NOT NULL, 
	asked TEXT NOT NULL, 
	expires TEXT NOT NULL, 
	who TEXT NOT NULL, 
	answered TEXT, 
	CONSTRAINT pk_approvals PRIMARY KEY (number), 
	CONSTRAINT fk_approvals_incident FOREIGN KEY(incident) REFERENCES incidents (id), 
	CONSTRAINT uq_approvals_incident_path_plan_asked UNIQUE (incident, path, "plan", asked)
);
INSERT INTO "approvals" VALUES(1,'inc-1kqsdr2g0yd67tfyphv','scale','Scale web to five?','b99bdfdd3fe8b00a','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00','',NULL);
CREATE TABLE catalogs (
	number INTEGER NOT NULL, 
	digest TEXT NOT NULL, 
	file TEXT NOT NULL, 
	text TEXT NOT NULL, 
	CONSTRAINT pk_catalogs PRIMARY KEY (number), 
	CONSTRAINT uq_catalogs_digest_file UNIQUE (digest, file)
);
CREATE TABLE conditions (
	rule TEXT NOT NULL, 
	uid TEXT NOT NULL, 
	target TEXT NOT NULL, 
	since TEXT NOT NULL, 
	signalled BOOLEAN NOT NULL, 
	CONSTRAINT pk_conditions PRIMARY KEY (rule, uid)
);
CREATE TABLE dead_letters (
	id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	received TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	excerpt TEXT NOT NULL, payload BLOB, 
	CONSTRAINT pk_dead_letters PRIMARY KEY (id)
);
CREATE TABLE drills (
	service TEXT NOT NULL, 
	schedule TEXT NOT NULL, 
	slot TEXT, 
	passed TEXT, 
	CONSTRAINT pk_drills PRIMARY KEY (service)
);
CREATE TABLE evidence (
	number INTEGER NOT NULL, 
	run TEXT NOT NULL, 
	path TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	text TEXT NOT NULL, 
	taken TEXT NOT NULL, 
	CONSTRAINT pk_evidence PRIMARY KEY (number), 
	CONSTRAINT fk_evidence_run FOREIGN KEY(run) REFERENCES runs (id), 
	CONSTRAINT uq_evidence_run_path_kind_digest UNIQUE (run, path, kind, digest)
);
CREATE TABLE good_counts (
	service TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	moment TEXT NOT NULL, 
	CONSTRAINT pk_good_counts PRIMARY KEY (service, name)
);
CREATE TABLE good_revisions (
	workload TEXT NOT NULL, 
	template TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	first_good TEXT NOT NULL, 
	last_good TEXT NOT NULL, 
	CONSTRAINT pk_good_revisions PRIMARY KEY (workload, template)
);
CREATE TABLE incidents (
	id TEXT NOT NULL, 
	service TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	runbook TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	state TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	opened TEXT NOT NULL, 
	closed TEXT, kind TEXT DEFAULT 'recovery' NOT NULL, 
	CONSTRAINT pk_incidents PRIMARY KEY (id)
);
INSERT INTO "incidents" VALUES('inc-1kqsdr2g0a3mh487trb','mid-step','web-pods','mend','auto','running','','2026-05-04T12:00:00.000000+00:00',NULL,'recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g0a3hv5mzdtp','verifying','web-pods','mend','auto','verifying','every step was done','2026-05-04T12:00:00.000000+00:00',NULL,'recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g0yrrjxxt9te','stopped','web-pods','mend','auto','verifying','stopped at look: not met: size(items) > 5','2026-05-04T12:00:00.000000+00:00',NULL,'recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g0bwkdk6mtnv','asked','web-pods','mend','auto','rolling-back','rollback asked for by ada','2026-05-04T12:00:00.000000+00:00',NULL,'recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g0yd67tfyphv','awaiting','web-pods','mend','auto','awaiting-approval','Scale web to five?','2026-05-04T12:00:00.000000+00:00',NULL,'recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g03wndzgrjf2','parked','web-pods','mend','auto','needs-operator','the restore is left as it is for a person: stopped at restore: its worker is stuck
Done:
  kubectl scale statefulset/database --replicas=0 -n production','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:05:00.000000+00:00','recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g0wn1z9ac0mk','resting','web-pods','mend','auto','failed','a right is missing','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:01:00.000000+00:00','recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g09qr2k4c5km','all','web-pods','mend','auto','running','waits for a person: mend on awaiting: awaiting-approval (incident inc-x), kintsugi approve inc-x','2026-05-04T12:00:00.000000+00:00',NULL,'recovery');
INSERT INTO "incidents" VALUES('inc-1kqsdr2g0gzccr9qndv','unclear','web-pods','mend','auto','awaiting-approval','Go back?','2026-05-04T12:00:00.000000+00:00',NULL,'recovery');
CREATE TABLE leadership (
	id INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	holder TEXT NOT NULL, 
	since TEXT, 
	CONSTRAINT pk_leadership PRIMARY KEY (id)
);
INSERT INTO "leadership" VALUES(1,1,'kintsugi-0','2026-05-04T12:00:00.000000+00:00');
CREATE TABLE locks (
	name TEXT NOT NULL, 
	run TEXT NOT NULL, 
	since TEXT NOT NULL, path TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_locks PRIMARY KEY (name), 
	CONSTRAINT fk_locks_run FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "locks" VALUES('service mid-step','run-1kqsdr2g0m05t51bfb5','2026-05-04T12:00:00.000000+00:00','');
INSERT INTO "locks" VALUES('service verifying','run-1kqsdr2g0cx17hmsjcb','2026-05-04T12:00:00.000000+00:00','');
INSERT INTO "locks" VALUES('service stopped','run-1kqsdr2g0wd7gbvq7wg','2026-05-04T12:00:00.000000+00:00','');
INSERT INTO "locks" VALUES('service asked','run-1kqsdr2g0hj5d986kxw','2026-05-04T12:00:00.000000+00:00','');
INSERT INTO "locks" VALUES('service awaiting','run-1kqsdr2g0kgy1jvpy63','2026-05-04T12:00:00.000000+00:00','');
INSERT INTO "locks" VALUES('service all','run-1kqsdr2g0ah7yxv6w7g','2026-05-04T12:00:00.000000+00:00','');
INSERT INTO "locks" VALUES('service unclear','run-1kqsdr2g0bcd4zw7zyq','2026-05-04T12:00:00.000000+00:00','');
CREATE TABLE "notices" (
	id TEXT NOT NULL, 
	incident TEXT, 
	kind TEXT NOT NULL, 
	text TEXT NOT NULL, 
	created TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	due TEXT NOT NULL, 
	sent BOOLEAN NOT NULL, 
	CONSTRAINT pk_notices PRIMARY KEY (id), 
	CONSTRAINT fk_notices_incident FOREIGN KEY(incident) REFERENCES incidents (id)
);
INSERT INTO "notices" VALUES('ntc-1kqsdr2g0vnvzkza592','inc-1kqsdr2g0yd67tfyphv','awaiting-approval','Scale web to five?','2026-05-04T12:00:00.000000+00:00',0,'2026-05-04T12:00:00.000000+00:00',0);
INSERT INTO "notices" VALUES('ntc-1kqse17f0ezqkf2erfh','inc-1kqsdr2g03wndzgrjf2','needs-operator','the restore is left as it is for a person: stopped at restore: its worker is stuck
Done:
  kubectl scale statefulset/database --replicas=0 -n production','2026-05-04T12:05:00.000000+00:00',0,'2026-05-04T12:05:00.000000+00:00',0);
INSERT INTO "notices" VALUES('ntc-1kqsdsx308gyrgp937h','inc-1kqsdr2g0wn1z9ac0mk','failed','a right is missing','2026-05-04T12:01:00.000000+00:00',0,'2026-05-04T12:01:00.000000+00:00',0);
INSERT INTO "notices" VALUES('ntc-1kqsdr2g0rek2enpq0q','inc-1kqsdr2g0gzccr9qndv','awaiting-approval','Go back?','2026-05-04T12:00:00.000000+00:00',0,'2026-05-04T12:00:00.000000+00:00',0);
CREATE TABLE pauses (
	id TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	name TEXT NOT NULL, 
	who TEXT NOT NULL, 
	why TEXT NOT NULL, 
	freeze BOOLEAN NOT NULL, 
	since TEXT NOT NULL, 
	until TEXT, 
	lifted TEXT, 
	lifted_by TEXT, 
	lifted_why TEXT, 
	CONSTRAINT pk_pauses PRIMARY KEY (id)
);
INSERT INTO "pauses" VALUES('pause-1','service','awaiting','ada','we look first',0,'2026-05-04T12:00:00.000000+00:00',NULL,NULL,NULL,NULL);
CREATE TABLE runs (
	id TEXT NOT NULL, 
	incident TEXT NOT NULL, 
	service TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	runbook TEXT NOT NULL, 
	catalog TEXT NOT NULL, 
	parameters TEXT NOT NULL, 
	epoch BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	started TEXT NOT NULL, 
	deadline TEXT NOT NULL, 
	walked TEXT, 
	finished TEXT, 
	changed BOOLEAN NOT NULL, kind TEXT DEFAULT 'recovery' NOT NULL, parent TEXT DEFAULT '' NOT NULL, parent_step TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_incident FOREIGN KEY(incident) REFERENCES incidents (id)
);
INSERT INTO "runs" VALUES('run-1kqsdr2g0m05t51bfb5','inc-1kqsdr2g0a3mh487trb','mid-step','production','web-pods','mend','c','{}',1,'running','','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00',NULL,NULL,1,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g0cx17hmsjcb','inc-1kqsdr2g0a3hv5mzdtp','verifying','production','web-pods','mend','c','{}',1,'verifying','every step was done','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00','2026-05-04T12:00:00.000000+00:00',NULL,1,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g0wd7gbvq7wg','inc-1kqsdr2g0yrrjxxt9te','stopped','production','web-pods','mend','c','{}',1,'verifying','stopped at look: not met: size(items) > 5','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:10:00.000000+00:00','2026-05-04T12:00:00.000000+00:00',NULL,0,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g0hj5d986kxw','inc-1kqsdr2g0bwkdk6mtnv','asked','production','web-pods','mend','c','{}',1,'rolling-back','rollback asked for by ada','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00','2026-05-04T12:01:00.000000+00:00',NULL,1,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g0kgy1jvpy63','inc-1kqsdr2g0yd67tfyphv','awaiting','production','web-pods','mend','c','{}',1,'awaiting-approval','Scale web to five?','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00',NULL,NULL,0,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g0cw9vswv1xm','inc-1kqsdr2g03wndzgrjf2','parked','production','web-pods','mend','c','{}',1,'needs-operator','the restore is left as it is for a person: stopped at restore: its worker is stuck
Done:
  kubectl scale statefulset/database --replicas=0 -n production','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00','2026-05-04T12:05:00.000000+00:00','2026-05-04T12:05:00.000000+00:00',1,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g08qh2qy0rgw','inc-1kqsdr2g0wn1z9ac0mk','resting','production','web-pods','mend','c','{}',1,'failed','a right is missing','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00',NULL,'2026-05-04T12:01:00.000000+00:00',0,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g0ah7yxv6w7g','inc-1kqsdr2g09qr2k4c5km','all','production','web-pods','mend','c','{}',1,'running','waits for a person: mend on awaiting: awaiting-approval (incident inc-x), kintsugi approve inc-x','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00',NULL,NULL,0,'recovery','','');
INSERT INTO "runs" VALUES('run-1kqsdr2g0bcd4zw7zyq','inc-1kqsdr2g0gzccr9qndv','unclear','production','web-pods','mend','c','{}',1,'awaiting-approval','Go back?','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:30:00.000000+00:00',NULL,NULL,0,'recovery','','');
CREATE TABLE scaled_to_zero (
	workload TEXT NOT NULL, 
	run TEXT NOT NULL, 
	moment TEXT NOT NULL, 
	CONSTRAINT pk_scaled_to_zero PRIMARY KEY (workload)
);
CREATE TABLE seen_replicas (
	workload TEXT NOT NULL, 
	replicas BIGINT NOT NULL, 
	since TEXT NOT NULL, 
	until TEXT, 
	CONSTRAINT pk_seen_replicas PRIMARY KEY (workload)
);
CREATE TABLE signals (
	id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	labels TEXT NOT NULL, 
	annotations TEXT NOT NULL, 
	target TEXT, 
	began TEXT NOT NULL, 
	ended TEXT, 
	horizon TEXT, 
	seen TEXT, 
	received TEXT NOT NULL, 
	last_seen TEXT NOT NULL, 
	verdict TEXT, 
	reason TEXT, 
	text TEXT, 
	until TEXT, 
	judged TEXT, 
	judged_rule TEXT, 
	incident TEXT, stale TEXT, refired TEXT, continues TEXT, 
	CONSTRAINT pk_signals PRIMARY KEY (id), 
	CONSTRAINT fk_signals_incident FOREIGN KEY(incident) REFERENCES incidents (id)
);
CREATE TABLE steps (
	number INTEGER NOT NULL, 
	run TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	path TEXT NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	changes BOOLEAN NOT NULL, 
	command TEXT, 
	text TEXT NOT NULL, 
	why TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	undo TEXT, 
	deadline TEXT, 
	started TEXT, 
	finished TEXT, 
	result TEXT, 
	met BOOLEAN, 
	error TEXT NOT NULL, namespace TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_steps PRIMARY KEY (number), 
	CONSTRAINT fk_steps_run FOREIGN KEY(run) REFERENCES runs (id), 
	CONSTRAINT uq_steps_run_phase_path UNIQUE (run, phase, path)
);
INSERT INTO "steps" VALUES(1,'run-1kqsdr2g0m05t51bfb5','forward','@found','How the workload was found','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"template":"found","revision":0,"desired":3,"ready":1}',1,'','');
INSERT INTO "steps" VALUES(2,'run-1kqsdr2g0m05t51bfb5','forward','one','one','planned',0,NULL,'kubectl cordon one','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00',NULL,NULL,NULL,'','');
INSERT INTO "steps" VALUES(3,'run-1kqsdr2g0m05t51bfb5','forward','one#0','one','intent',1,'{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":true}','kubectl cordon one','pod web-1 is unhealthy (rule web-pods)','{"uid":"u-1","mark":"run-1/forward/one#0@2026-05-04T12:00:00+00:00"}','{"commands":[{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":false}],"texts":["kubectl uncordon one"],"note":""}','2026-05-04T12:30:00.000000+00:00','2026-05-04T12:00:00.000000+00:00',NULL,NULL,NULL,'','production');
INSERT INTO "steps" VALUES(4,'run-1kqsdr2g0cx17hmsjcb','forward','@found','How the workload was found','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"template":"found","revision":0,"desired":3,"ready":1}',1,'','');
INSERT INTO "steps" VALUES(5,'run-1kqsdr2g0cx17hmsjcb','forward','one','one','done',0,NULL,'kubectl cordon one','','{"ran":true,"left_out":false}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"items":[]}',1,'','');
INSERT INTO "steps" VALUES(6,'run-1kqsdr2g0cx17hmsjcb','forward','one#0','one','done',1,'{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":true}','kubectl cordon one','pod web-1 is unhealthy (rule web-pods)','{"uid":"u-1","mark":"run-1/forward/one#0@2026-05-04T12:00:00+00:00"}','{"commands":[{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":false}],"texts":["kubectl uncordon one"],"note":""}','2026-05-04T12:30:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"items":[]}',NULL,'','production');
INSERT INTO "steps" VALUES(7,'run-1kqsdr2g0wd7gbvq7wg','forward','@found','How the workload was found','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"template":"found","revision":0,"desired":3,"ready":1}',1,'','');
INSERT INTO "steps" VALUES(8,'run-1kqsdr2g0wd7gbvq7wg','forward','look','look','done',0,NULL,'kubectl get pods -n production','','{"ran":true,"left_out":false}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"items":[{}]}',0,'not met: size(items) > 5','');
INSERT INTO "steps" VALUES(9,'run-1kqsdr2g0hj5d986kxw','forward','@found','How the workload was found','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"template":"found","revision":0,"desired":3,"ready":1}',1,'','');
INSERT INTO "steps" VALUES(10,'run-1kqsdr2g0hj5d986kxw','forward','one','one','done',0,NULL,'kubectl cordon one','','{"ran":true,"left_out":false}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"items":[]}',1,'','');
INSERT INTO "steps" VALUES(11,'run-1kqsdr2g0hj5d986kxw','forward','one#0','one','done',1,'{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":true}','kubectl cordon one','pod web-1 is unhealthy (rule web-pods)','{"uid":"u-1","mark":"run-1/forward/one#0@2026-05-04T12:00:00+00:00"}','{"commands":[{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":false}],"texts":["kubectl uncordon one"],"note":""}','2026-05-04T12:30:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"items":[]}',NULL,'','production');
INSERT INTO "steps" VALUES(12,'run-1kqsdr2g0hj5d986kxw','forward','wait','wait','planned',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00',NULL,NULL,NULL,'','');
INSERT INTO "steps" VALUES(13,'run-1kqsdr2g0hj5d986kxw','forward','@rollback0','Why it was taken back','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:01:00.000000+00:00','2026-05-04T12:01:00.000000+00:00','{"why":"rollback asked for by ada","when":{"$kintsugi.time":"2026-05-04T12:01:00+00:00"}}',1,'','');
INSERT INTO "steps" VALUES(14,'run-1kqsdr2g0hj5d986kxw','forward','@asked','A person asked for the rollback','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:01:00.000000+00:00','2026-05-04T12:01:00.000000+00:00','{"why":"rollback asked for by ada"}',1,'','');
INSERT INTO "steps" VALUES(15,'run-1kqsdr2g0hj5d986kxw','undo','one#0~0','Undo: one','done',1,'{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":false}','kubectl uncordon one','','{"uid":"u-1","mark":"run-1/undo/one#0~0@2026-05-04T12:01:00+00:00"}','{"commands":[{"command":"Cordon","objects":[{"resource":"nodes","name":"one"}],"on":true}],"texts":["kubectl cordon one"],"note":""}','2026-05-04T12:31:00.000000+00:00','2026-05-04T12:01:00.000000+00:00','2026-05-04T12:01:00.000000+00:00','{"items":[]}',NULL,'','production');
INSERT INTO "steps" VALUES(16,'run-1kqsdr2g0kgy1jvpy63','forward','@found','How the workload was found','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{"template":"found","revision":0,"desired":3,"ready":1}',1,'','');
INSERT INTO "steps" VALUES(17,'run-1kqsdr2g0cw9vswv1xm','forward','stop#0','Stop the database','done',1,'{"command":"Scale","objects":[{"resource":"statefulsets.apps","name":"database"}],"namespace":"production","replicas":0}','kubectl scale statefulset/database --replicas=0 -n production','','{"uid":"uid-db"}','{"commands":[{"command":"Scale","objects":[{"resource":"statefulsets.apps","name":"database"}],"namespace":"production","replicas":1}],"texts":["kubectl scale statefulset/database --replicas=1 -n production"],"note":""}',NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{}',1,'','production');
INSERT INTO "steps" VALUES(18,'run-1kqsdr2g0bcd4zw7zyq','forward','@asked','A person asked for the rollback','done',0,NULL,'','','{}',NULL,NULL,'2026-05-04T12:00:00.000000+00:00','2026-05-04T12:00:00.000000+00:00','{',1,'','');
CREATE INDEX ix_dead_letters_received ON dead_letters (received);
CREATE INDEX ix_incidents_closed ON incidents (closed);
CREATE INDEX ix_incidents_opened ON incidents (opened);
CREATE INDEX ix_incidents_service_opened ON incidents (service, opened);
CREATE INDEX ix_runs_catalog ON runs (catalog);
CREATE INDEX ix_runs_finished ON runs (finished);
CREATE INDEX ix_runs_incident ON runs (incident);
CREATE UNIQUE INDEX uq_signals_key_began ON signals ("key", began);
CREATE UNIQUE INDEX uq_signals_open_key ON signals ("key") WHERE ended IS NULL;
CREATE INDEX ix_locks_run ON locks (run);
CREATE UNIQUE INDEX uq_incidents_open_service ON incidents (service, kind) WHERE closed IS NULL;
CREATE UNIQUE INDEX uq_runs_open_service ON runs (service, kind) WHERE finished IS NULL;
CREATE INDEX ix_signals_received ON signals (received, id);
CREATE INDEX ix_runs_service_kind_started ON runs (service, kind, started, id);
CREATE INDEX ix_good_revisions_last_good ON good_revisions (last_good);
CREATE INDEX ix_signals_unjudged ON signals (received, id) WHERE verdict IS NULL;
CREATE INDEX ix_signals_provisional ON signals (until) WHERE until IS NOT NULL AND ended IS NULL;
CREATE INDEX ix_signals_firing ON signals (incident, kind, id) WHERE incident IS NOT NULL AND ended IS NULL;
CREATE INDEX ix_signals_lasting ON signals (incident, ended) WHERE incident IS NOT NULL AND ended IS NOT NULL AND kind <> 'event';
CREATE INDEX ix_signals_incident ON signals (incident, received, id) WHERE incident IS NOT NULL;
CREATE INDEX ix_signals_stray ON signals (ended) WHERE incident IS NULL AND ended IS NOT NULL;
CREATE INDEX ix_steps_changes ON steps (started) WHERE changes = 1;
CREATE INDEX ix_pauses_lifted ON pauses (lifted) WHERE lifted IS NOT NULL;
CREATE INDEX ix_pauses_holding ON pauses (until) WHERE lifted IS NULL;
CREATE INDEX ix_signals_refired ON signals (refired) WHERE refired IS NOT NULL;
CREATE INDEX ix_signals_verdict_received ON signals (verdict, received, id) WHERE verdict IS NOT NULL;
CREATE INDEX ix_signals_reason_received ON signals (reason, received, id) WHERE reason IS NOT NULL;
CREATE INDEX ix_steps_namespace_started ON steps (namespace, started) WHERE changes = 1;
CREATE INDEX ix_runs_service_runbook_state ON runs (service, runbook, state, finished);
CREATE INDEX ix_notices_due ON notices (due, id) WHERE sent = 0;
CREATE INDEX ix_notices_incident ON notices (incident);
CREATE INDEX ix_notices_created ON notices (created) WHERE incident IS NULL;
CREATE UNIQUE INDEX uq_runs_parent_step ON runs (parent, parent_step) WHERE parent != '';
CREATE INDEX ix_seen_replicas_since ON seen_replicas (since);
CREATE INDEX ix_scaled_to_zero_moment ON scaled_to_zero (moment);
COMMIT;
