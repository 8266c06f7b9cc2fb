-- append
SET LOCK_TIMEOUT 10000
;
SET XACT_ABORT OFF
;
COMMIT
;
CREATE TABLE [dbo].[_ddpm_positions] ([pipeline] NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL, [target] NVARCHAR(257) COLLATE Latin1_General_100_BIN2 NOT NULL, [partition] NVARCHAR(450) COLLATE Latin1_General_100_BIN2 NOT NULL, [next_offset] BIGINT NOT NULL, [epoch] BIGINT NOT NULL, [detail] NVARCHAR(MAX) NOT NULL, [updated_at] DATETIMEOFFSET(6) NOT NULL, PRIMARY KEY NONCLUSTERED ([pipeline], [target], [partition]))
;
COMMIT
;
SELECT [partition], [next_offset], [detail] FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]'
;
UPDATE [dbo].[_ddpm_positions] SET [epoch] = [epoch] + 1, [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a'
;
SELECT [partition], [next_offset], [detail], [epoch] FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND ([partition] = N'file:a' OR ([partition] >= N'file:a#' AND [partition] < N'file:a$'))
;
COMMIT
;
CREATE TABLE [dbo].[it's a [table]]] ([id] BIGINT, [na]]me] NVARCHAR(MAX), [ok] BIT, [x] FLOAT(53), [d] DECIMAL(10,2), [b] VARBINARY(MAX), [day] DATE, [at] DATETIME2(6), [moment] DATETIMEOFFSET(6), [time] TIME(6), [u] DECIMAL(20,0))
;
EXECUTE sp_addextendedproperty N'MS_Description', N'created by ddpm', N'SCHEMA', N'dbo', N'TABLE', N'it''s a [table]'
;
IF @@TRANCOUNT = 0 BEGIN TRANSACTION
;
SAVE TRANSACTION sa_savepoint_1
;
INSERT INTO [dbo].[it's a [table]]] ([id], [na]]me], [ok], [x], [d], [b], [day], [at], [moment], [time], [u]) VALUES (1, N'o''hara', 1, N'1e+300', N'1.10', 0x0027, N'0001-01-01', N'2024-01-02 03:04:05.000006', N'2024-01-02 00:00:00.000000+00:00', N'01:02:03.000004', N'18446744073709551615'), (2, NULL, 0, N'-0.5', NULL, 0x, NULL, NULL, NULL, NULL, NULL)
;
CREATE TABLE [dbo].[_ddpm_dead_letters] ([id] NVARCHAR(255) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY NONCLUSTERED, [pipeline] NVARCHAR(MAX) NOT NULL, [target] NVARCHAR(MAX) NOT NULL, [source] NVARCHAR(MAX) NOT NULL, [partition] NVARCHAR(MAX) NOT NULL, [record_offset] BIGINT NOT NULL, [byte_offset] BIGINT, [stage] NVARCHAR(MAX) NOT NULL, [reason] NVARCHAR(MAX) NOT NULL, [message] NVARCHAR(MAX) NOT NULL, [plugin] NVARCHAR(MAX) NOT NULL, [plugin_version] NVARCHAR(MAX) NOT NULL, [sink] NVARCHAR(MAX) NOT NULL, [payload] VARBINARY(MAX) NOT NULL, [payload_kind] NVARCHAR(MAX) NOT NULL, [view] NVARCHAR(MAX), [attempts] BIGINT NOT NULL, [created_at] DATETIMEOFFSET(6) NOT NULL, [format] NVARCHAR(MAX) NOT NULL, [message_key] VARBINARY(MAX), [message_headers] NVARCHAR(MAX), [message_timestamp] BIGINT, [replayed_at] DATETIMEOFFSET(6))
;
UPDATE [dbo].[_ddpm_dead_letters] SET [replayed_at] = NULL, [attempts] = 1, [created_at] = SYSDATETIMEOFFSET() WHERE [id] IN (N'first') AND [replayed_at] IS NOT NULL
;
DELETE FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] IN (N'dead-letter:70935ff191d6fd91/67108864#first')
;
INSERT INTO [dbo].[_ddpm_dead_letters] ([id], [pipeline], [target], [source], [partition], [record_offset], [byte_offset], [stage], [reason], [message], [plugin], [plugin_version], [sink], [payload], [payload_kind], [view], [attempts], [created_at], [format], [message_key], [message_headers], [message_timestamp], [replayed_at]) SELECT N'first', N'kit', N'dbo.it''s a [table]', N'/data/it''s "here".json', N'kit:/data/a #file with ''hostile'' "marks".json#1', 1099511627776, NULL, N'parse', N'json_invalid', N'bad \x00 text
Ä漢😀 \', N'json', N'1.0', N'', 0x00ff27225c, N'bytes', NULL, 1, N'2020-01-02 03:04:05.678000+00:00', N'', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_dead_letters] WITH (UPDLOCK, HOLDLOCK) WHERE [id] = N'first')
;
INSERT INTO [dbo].[_ddpm_positions] ([pipeline], [target], [partition], [next_offset], [epoch], [detail], [updated_at]) SELECT N'ingest', N'dbo.it''s a [table]', N'file:a', 0, 1, N'{}', SYSDATETIMEOFFSET() WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_positions] WITH (UPDLOCK, HOLDLOCK) WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a')
;
INSERT INTO [dbo].[_ddpm_positions] ([pipeline], [target], [partition], [next_offset], [epoch], [detail], [updated_at]) SELECT N'ingest', N'dbo.it''s a [table]', N'file:a#1', 2, 0, N'{"rows": 2}', SYSDATETIMEOFFSET() WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_positions] WITH (UPDLOCK, HOLDLOCK) WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a#1')
;
COMMIT
;
UPDATE [dbo].[_ddpm_positions] SET [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a' AND [epoch] = 1
;
UPDATE [dbo].[_ddpm_positions] SET [next_offset] = 3, [detail] = N'{"rows": 3}', [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a#1' AND [next_offset] = 2
;
COMMIT
;
-- upsert
SET LOCK_TIMEOUT 10000
;
SET XACT_ABORT OFF
;
COMMIT
;
CREATE TABLE [dbo].[_ddpm_positions] ([pipeline] NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL, [target] NVARCHAR(257) COLLATE Latin1_General_100_BIN2 NOT NULL, [partition] NVARCHAR(450) COLLATE Latin1_General_100_BIN2 NOT NULL, [next_offset] BIGINT NOT NULL, [epoch] BIGINT NOT NULL, [detail] NVARCHAR(MAX) NOT NULL, [updated_at] DATETIMEOFFSET(6) NOT NULL, PRIMARY KEY NONCLUSTERED ([pipeline], [target], [partition]))
;
COMMIT
;
SELECT [partition], [next_offset], [detail] FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]'
;
UPDATE [dbo].[_ddpm_positions] SET [epoch] = [epoch] + 1, [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a'
;
SELECT [partition], [next_offset], [detail], [epoch] FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND ([partition] = N'file:a' OR ([partition] >= N'file:a#' AND [partition] < N'file:a$'))
;
COMMIT
;
CREATE TABLE [dbo].[it's a [table]]] ([id] BIGINT NOT NULL, [na]]me] NVARCHAR(MAX), [ok] BIT, [x] FLOAT(53), [d] DECIMAL(10,2), [b] VARBINARY(MAX), [day] DATE, [at] DATETIME2(6), [moment] DATETIMEOFFSET(6), [time] TIME(6), [u] DECIMAL(20,0), PRIMARY KEY ([id]))
;
EXECUTE sp_addextendedproperty N'MS_Description', N'created by ddpm', N'SCHEMA', N'dbo', N'TABLE', N'it''s a [table]'
;
IF @@TRANCOUNT = 0 BEGIN TRANSACTION
;
SAVE TRANSACTION sa_savepoint_1
;
MERGE INTO [dbo].[it's a [table]]] WITH (HOLDLOCK) AS t USING (VALUES (1, N'o''hara', 1, N'1e+300', N'1.10', 0x0027, N'0001-01-01', N'2024-01-02 03:04:05.000006', N'2024-01-02 00:00:00.000000+00:00', N'01:02:03.000004', N'18446744073709551615'), (2, NULL, 0, N'-0.5', NULL, 0x, NULL, NULL, NULL, NULL, NULL)) AS s ([id], [na]]me], [ok], [x], [d], [b], [day], [at], [moment], [time], [u]) ON t.[id] = s.[id] WHEN MATCHED THEN UPDATE SET t.[na]]me] = s.[na]]me], t.[ok] = s.[ok], t.[x] = s.[x], t.[d] = s.[d], t.[b] = s.[b], t.[day] = s.[day], t.[at] = s.[at], t.[moment] = s.[moment], t.[time] = s.[time], t.[u] = s.[u] WHEN NOT MATCHED THEN INSERT ([id], [na]]me], [ok], [x], [d], [b], [day], [at], [moment], [time], [u]) VALUES (s.[id], s.[na]]me], s.[ok], s.[x], s.[d], s.[b], s.[day], s.[at], s.[moment], s.[time], s.[u]);
;
CREATE TABLE [dbo].[_ddpm_dead_letters] ([id] NVARCHAR(255) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY NONCLUSTERED, [pipeline] NVARCHAR(MAX) NOT NULL, [target] NVARCHAR(MAX) NOT NULL, [source] NVARCHAR(MAX) NOT NULL, [partition] NVARCHAR(MAX) NOT NULL, [record_offset] BIGINT NOT NULL, [byte_offset] BIGINT, [stage] NVARCHAR(MAX) NOT NULL, [reason] NVARCHAR(MAX) NOT NULL, [message] NVARCHAR(MAX) NOT NULL, [plugin] NVARCHAR(MAX) NOT NULL, [plugin_version] NVARCHAR(MAX) NOT NULL, [sink] NVARCHAR(MAX) NOT NULL, [payload] VARBINARY(MAX) NOT NULL, [payload_kind] NVARCHAR(MAX) NOT NULL, [view] NVARCHAR(MAX), [attempts] BIGINT NOT NULL, [created_at] DATETIMEOFFSET(6) NOT NULL, [format] NVARCHAR(MAX) NOT NULL, [message_key] VARBINARY(MAX), [message_headers] NVARCHAR(MAX), [message_timestamp] BIGINT, [replayed_at] DATETIMEOFFSET(6))
;
UPDATE [dbo].[_ddpm_dead_letters] SET [replayed_at] = NULL, [attempts] = 1, [created_at] = SYSDATETIMEOFFSET() WHERE [id] IN (N'first') AND [replayed_at] IS NOT NULL
;
DELETE FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] IN (N'dead-letter:70935ff191d6fd91/67108864#first')
;
INSERT INTO [dbo].[_ddpm_dead_letters] ([id], [pipeline], [target], [source], [partition], [record_offset], [byte_offset], [stage], [reason], [message], [plugin], [plugin_version], [sink], [payload], [payload_kind], [view], [attempts], [created_at], [format], [message_key], [message_headers], [message_timestamp], [replayed_at]) SELECT N'first', N'kit', N'dbo.it''s a [table]', N'/data/it''s "here".json', N'kit:/data/a #file with ''hostile'' "marks".json#1', 1099511627776, NULL, N'parse', N'json_invalid', N'bad \x00 text
Ä漢😀 \', N'json', N'1.0', N'', 0x00ff27225c, N'bytes', NULL, 1, N'2020-01-02 03:04:05.678000+00:00', N'', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_dead_letters] WITH (UPDLOCK, HOLDLOCK) WHERE [id] = N'first')
;
INSERT INTO [dbo].[_ddpm_positions] ([pipeline], [target], [partition], [next_offset], [epoch], [detail], [updated_at]) SELECT N'ingest', N'dbo.it''s a [table]', N'file:a', 0, 1, N'{}', SYSDATETIMEOFFSET() WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_positions] WITH (UPDLOCK, HOLDLOCK) WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a')
;
INSERT INTO [dbo].[_ddpm_positions] ([pipeline], [target], [partition], [next_offset], [epoch], [detail], [updated_at]) SELECT N'ingest', N'dbo.it''s a [table]', N'file:a#1', 2, 0, N'{"rows": 2}', SYSDATETIMEOFFSET() WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_positions] WITH (UPDLOCK, HOLDLOCK) WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a#1')
;
COMMIT
;
UPDATE [dbo].[_ddpm_positions] SET [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a' AND [epoch] = 1
;
UPDATE [dbo].[_ddpm_positions] SET [next_offset] = 3, [detail] = N'{"rows": 3}', [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a#1' AND [next_offset] = 2
;
COMMIT
;
-- replace
SET LOCK_TIMEOUT 10000
;
SET XACT_ABORT OFF
;
COMMIT
;
CREATE TABLE [dbo].[_ddpm_positions] ([pipeline] NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL, [target] NVARCHAR(257) COLLATE Latin1_General_100_BIN2 NOT NULL, [partition] NVARCHAR(450) COLLATE Latin1_General_100_BIN2 NOT NULL, [next_offset] BIGINT NOT NULL, [epoch] BIGINT NOT NULL, [detail] NVARCHAR(MAX) NOT NULL, [updated_at] DATETIMEOFFSET(6) NOT NULL, PRIMARY KEY NONCLUSTERED ([pipeline], [target], [partition]))
;
COMMIT
;
SELECT [partition], [next_offset], [detail] FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]'
;
UPDATE [dbo].[_ddpm_positions] SET [epoch] = [epoch] + 1, [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a'
;
SELECT [partition], [next_offset], [detail], [epoch] FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND ([partition] = N'file:a' OR ([partition] >= N'file:a#' AND [partition] < N'file:a$'))
;
COMMIT
;
SELECT TOP (0) 1 FROM [dbo].[it's a [table]]] WITH (TABLOCK, UPDLOCK, HOLDLOCK)
;
DELETE FROM [dbo].[it's a [table]]]
;
DELETE FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]'
;
IF @@TRANCOUNT = 0 BEGIN TRANSACTION
;
SAVE TRANSACTION sa_savepoint_1
;
INSERT INTO [dbo].[it's a [table]]] ([id], [na]]me], [ok], [x], [d], [b], [day], [at], [moment], [time], [u]) VALUES (1, N'o''hara', 1, N'1e+300', N'1.10', 0x0027, N'0001-01-01', N'2024-01-02 03:04:05.000006', N'2024-01-02 00:00:00.000000+00:00', N'01:02:03.000004', N'18446744073709551615'), (2, NULL, 0, N'-0.5', NULL, 0x, NULL, NULL, NULL, NULL, NULL)
;
CREATE TABLE [dbo].[_ddpm_dead_letters] ([id] NVARCHAR(255) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY NONCLUSTERED, [pipeline] NVARCHAR(MAX) NOT NULL, [target] NVARCHAR(MAX) NOT NULL, [source] NVARCHAR(MAX) NOT NULL, [partition] NVARCHAR(MAX) NOT NULL, [record_offset] BIGINT NOT NULL, [byte_offset] BIGINT, [stage] NVARCHAR(MAX) NOT NULL, [reason] NVARCHAR(MAX) NOT NULL, [message] NVARCHAR(MAX) NOT NULL, [plugin] NVARCHAR(MAX) NOT NULL, [plugin_version] NVARCHAR(MAX) NOT NULL, [sink] NVARCHAR(MAX) NOT NULL, [payload] VARBINARY(MAX) NOT NULL, [payload_kind] NVARCHAR(MAX) NOT NULL, [view] NVARCHAR(MAX), [attempts] BIGINT NOT NULL, [created_at] DATETIMEOFFSET(6) NOT NULL, [format] NVARCHAR(MAX) NOT NULL, [message_key] VARBINARY(MAX), [message_headers] NVARCHAR(MAX), [message_timestamp] BIGINT, [replayed_at] DATETIMEOFFSET(6))
;
UPDATE [dbo].[_ddpm_dead_letters] SET [replayed_at] = NULL, [attempts] = 1, [created_at] = SYSDATETIMEOFFSET() WHERE [id] IN (N'first') AND [replayed_at] IS NOT NULL
;
DELETE FROM [dbo].[_ddpm_positions] WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] IN (N'dead-letter:70935ff191d6fd91/67108864#first')
;
INSERT INTO [dbo].[_ddpm_dead_letters] ([id], [pipeline], [target], [source], [partition], [record_offset], [byte_offset], [stage], [reason], [message], [plugin], [plugin_version], [sink], [payload], [payload_kind], [view], [attempts], [created_at], [format], [message_key], [message_headers], [message_timestamp], [replayed_at]) SELECT N'first', N'kit', N'dbo.it''s a [table]', N'/data/it''s "here".json', N'kit:/data/a #file with ''hostile'' "marks".json#1', 1099511627776, NULL, N'parse', N'json_invalid', N'bad \x00 text
Ä漢😀 \', N'json', N'1.0', N'', 0x00ff27225c, N'bytes', NULL, 1, N'2020-01-02 03:04:05.678000+00:00', N'', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_dead_letters] WITH (UPDLOCK, HOLDLOCK) WHERE [id] = N'first')
;
INSERT INTO [dbo].[_ddpm_positions] ([pipeline], [target], [partition], [next_offset], [epoch], [detail], [updated_at]) SELECT N'ingest', N'dbo.it''s a [table]', N'file:a', 0, 1, N'{}', SYSDATETIMEOFFSET() WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_positions] WITH (UPDLOCK, HOLDLOCK) WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a')
;
INSERT INTO [dbo].[_ddpm_positions] ([pipeline], [target], [partition], [next_offset], [epoch], [detail], [updated_at]) SELECT N'ingest', N'dbo.it''s a [table]', N'file:a#1', 2, 0, N'{"rows": 2}', SYSDATETIMEOFFSET() WHERE NOT EXISTS (SELECT 1 FROM [dbo].[_ddpm_positions] WITH (UPDLOCK, HOLDLOCK) WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a#1')
;
COMMIT
;
UPDATE [dbo].[_ddpm_positions] SET [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a' AND [epoch] = 1
;
UPDATE [dbo].[_ddpm_positions] SET [next_offset] = 3, [detail] = N'{"rows": 3}', [updated_at] = SYSDATETIMEOFFSET() WHERE [pipeline] = N'ingest' AND [target] = N'dbo.it''s a [table]' AND [partition] = N'file:a#1' AND [next_offset] = 2
;
COMMIT
;
-- a wider column
ALTER TABLE [dbo].[it's a [table]]] ALTER COLUMN [id] DECIMAL(38,0) NOT NULL
;
-- dead letters
SET LOCK_TIMEOUT 10000
;
SET XACT_ABORT OFF
;
COMMIT
;
