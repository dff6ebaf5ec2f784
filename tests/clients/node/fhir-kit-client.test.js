// fhir-kit-client against a running server.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.env.ANAMNESIS_BASE });
const patient = (family, more = {}) => ({ resourceType: 'Patient', name: [{ family }], ...more });
const status = (number) => (error) => error.response?.status === number;

test('capability statement', async () => {
  const statement = await client.capabilityStatement();
  assert.equal(statement.fhirVersion, '4.0.1');
});

test('create, read, update, patch, delete', async () => {
  const created = await client.create({ resourceType: 'Patient', body: patient('fk') });
  const { id } = created;
  assert.equal(created.meta.versionId, '1');
  const updated = await client.update({ resourceType: 'Patient', id, body: patient('fk', { id, active: true }) });
  assert.equal(updated.meta.versionId, '2');
  const jsonPatch = [
    { op: 'test', path: '/active', value: true },
    { op: 'replace', path: '/active', value: false },
  ];
  const patched = await client.patch({ resourceType: 'Patient', id, jsonPatch });
  assert.deepEqual([patched.active, patched.meta.versionId], [false, '3']);
  // The test does not hold any more.
  await assert.rejects(client.patch({ resourceType: 'Patient', id, jsonPatch }), status(400));
  assert.equal((await client.read({ resourceType: 'Patient', id })).active, false);
  assert.equal((await client.vread({ resourceType: 'Patient', id, version: '2' })).active, true);
  assert.equal((await client.history({ resourceType: 'Patient', id })).entry.length, 3);
  await client.delete({ resourceType: 'Patient', id });
  await assert.rejects(client.read({ resourceType: 'Patient', id }), status(410));
});

test('search page by page', async () => {
  const family = `fk-${randomUUID()}`;
  for (let number = 0; number < 7; number += 1) {
    await client.create({ resourceType: 'Patient', body: patient(family) });
  }
  let page = await client.search({ resourceType: 'Patient', searchParams: { family, _count: 3 } });
  const sizes = [];
  const ids = new Set();
  while (page) {
    sizes.push(page.entry.length);
    page.entry.forEach((entry) => ids.add(entry.resource.id));
    page = page.link.some((link) => link.relation === 'next') ? await client.nextPage({ bundle: page }) : undefined;
  }
  assert.deepEqual([sizes, ids.size], [[3, 3, 1], 7]);
  const posted = await client.search({
    resourceType: 'Patient',
    searchParams: { family },
    options: { postSearch: true },
  });
  assert.equal(posted.entry.length, 7);
});

test('batch and transaction', async () => {
  const urn = `urn:uuid:${randomUUID()}`;
  const observation = { resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: urn } };
  const entry = [
    { fullUrl: urn, resource: patient('fk'), request: { method: 'POST', url: 'Patient' } },
    { resource: observation, request: { method: 'POST', url: 'Observation' } },
  ];
  const answer = await client.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } });
  assert.deepEqual(answer.entry.map((one) => one.response.status.slice(0, 3)), ['201', '201']);
  const { reference } = answer.entry[1].resource.subject;
  assert.equal(reference, `Patient/${answer.entry[0].resource.id}`);
  assert.equal((await client.resolve({ reference })).resourceType, 'Patient');
  const data = Buffer.from(JSON.stringify([{ op: 'add', path: '/active', value: true }])).toString('base64');
  const binary = { resourceType: 'Binary', contentType: 'application/json-patch+json', data };
  const batch = await client.batch({
    body: {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [
        { resource: binary, request: { method: 'PATCH', url: reference } },
        { request: { method: 'GET', url: 'Patient/none' } },
      ],
    },
  });
  assert.deepEqual(batch.entry.map((one) => one.response.status.slice(0, 3)), ['200', '404']);
  assert.equal(batch.entry[0].resource.active, true);
});
